"""Tools around Loyalty Relay that are never deployed: the `relay` command, the local stack, the vendor sandbox."""
