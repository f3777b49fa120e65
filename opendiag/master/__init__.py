"""The only place where bus, clock and machines meet."""
