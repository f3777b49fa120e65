"""`python -m opendiag` is the command `opendiag`."""

from opendiag.cli import main

if __name__ == "__main__":
    main()
