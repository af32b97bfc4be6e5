"""Kangaroo Rewards: the business API and the integrations API."""
