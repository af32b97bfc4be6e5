"""How tools reach a stack from outside: which one it is, its services, its connections, and the error they share.

The command line, the queries and the console may import it; it imports the layer, and nothing else of the devkit.
"""
