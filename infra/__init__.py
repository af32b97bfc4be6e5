"""What watches the application: the stack that is nested in template.yaml, written by code."""
