"""The pages: each module has ``routes``, and ``MENU`` where it is in the menu."""
