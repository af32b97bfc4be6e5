"""The ledger of store links.

Imports storage and model.
"""
