"""Log lines and metrics by allow-list.

Imports nothing of ours.
"""
