"""The language of the relay: commands, outcomes, errors, versions, deadlines.

Imports nothing of ours and does no I/O.
"""
