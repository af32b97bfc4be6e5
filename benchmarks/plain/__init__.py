"""The plain way: one customer operation written by hand, to which the layer is compared."""
