"""DynamoDB access, the map of all keys, and keyed digests.

Imports model.
"""
