"""The stages of a command, and one handler per operation.

Imports destinations, customers, stores, reliability and below.
"""
