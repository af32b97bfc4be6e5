"""The demo: signed sample events of every source through the local stack, and what became of each."""
