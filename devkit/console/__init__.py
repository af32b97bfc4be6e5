"""The console: a page on loopback that shows a stack, with the operator's own AWS credentials.

``app`` has the routes, ``safety`` what every request has to pass, ``rendering`` the templates, ``views`` one module per
page, ``serve`` the server. It shows what ``devkit.queries`` returns. It may import ``devkit.queries``,
``devkit.stacks`` and the layer, and never the command line.
"""
