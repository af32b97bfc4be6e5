"""What operations need of a loyalty CRM, and one folder per vendor.

Imports http, storage, connections (model) and model.
"""
