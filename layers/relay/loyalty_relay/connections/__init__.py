"""Connections: their model, the parser of their secrets, and the store that reads Secrets Manager.

The model imports model only; the parser also imports sources and the destinations' configuration.
"""
