"""Change to command: mapping, coercion, and the event schema that we publish.

Imports sources' base and model; never a destination's client.
"""
