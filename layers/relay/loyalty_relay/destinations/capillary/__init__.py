"""Capillary: its customer APIs, V2 and V1.1."""
