"""The operations: a command goes in, an outcome comes out, whoever triggered it."""
