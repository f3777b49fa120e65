"""Between opendiag's `Frame` and python-can."""
