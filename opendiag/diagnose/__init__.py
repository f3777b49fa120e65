"""Findings over what was heard on a bus: why there is no answer."""
