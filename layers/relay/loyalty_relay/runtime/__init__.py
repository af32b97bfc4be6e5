"""Settings, AWS clients, and the composition root.

The composition root imports every package below the triggers.
"""
