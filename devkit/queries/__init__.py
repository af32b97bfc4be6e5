"""What the command line and the console both show, one module per view: a query, and its result with ``as_json``.

The JSON of a result is what ``--json`` prints and what the page's ``.json`` twin returns, so that the two cannot
disagree. No text of a terminal and no HTML is made here. It may import ``devkit.stacks``, ``devkit.samples`` and the
layer.
"""
