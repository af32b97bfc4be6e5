"""`python -m devkit` is the `relay` command."""

from devkit.cli import main

if __name__ == "__main__":
    main()
