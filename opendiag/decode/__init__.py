"""The passive view of a bus: it listens, follows and names, and never sends."""
