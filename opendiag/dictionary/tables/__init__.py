"""The standards' object lists, as data."""
