"""The ledger of one customer: what was sent, under which lease, and which tombstones are left.

Imports storage, reliability (journal) and model.
"""
