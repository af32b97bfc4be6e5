"""The ledger of one customer: what was sent to the destination, under which lease, and the tombstones of deleted ones.

Imports storage, reliability (journal) and model.
"""
