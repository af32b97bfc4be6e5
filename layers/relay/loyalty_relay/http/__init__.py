"""The HTTP client: deadlines, size limits, decompression, pacing.

Imports model.
"""
