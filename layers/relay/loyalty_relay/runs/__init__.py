"""Reads a whole shop: imports and reconciliations, their progress and their reports.

May import ``customers``, ``translation``, ``sources``, ``connections``, ``storage`` and ``model``.
"""
