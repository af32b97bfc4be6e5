"""Idempotency, circuit breaker, rate limiter, retry policy, dead letters, journal.

Imports storage, http, telemetry and model.
"""
