"""Devices and a bus that exist in memory only, made of the machines in `opendiag.services`."""
