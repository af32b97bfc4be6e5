"""The layer that every Loyalty Relay function shares: from a verified delivery to an outcome at the loyalty CRM."""
