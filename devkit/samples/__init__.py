"""Sample events: read, changed, signed, translated and delivered. It may import ``devkit.stacks`` and the layer."""
