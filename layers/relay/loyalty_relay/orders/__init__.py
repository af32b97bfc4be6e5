"""The ledger of one order: what is known of it, what of it earns, and what was booked at the destination.

Imports storage, reliability (journal), connections (model), destinations (base) and model.
"""
