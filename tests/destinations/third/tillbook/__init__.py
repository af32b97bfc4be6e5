"""A toy vendor: everything that a loyalty CRM needs to be a destination, in one folder."""
