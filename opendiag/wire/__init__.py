"""Bytes <-> meaning, one file per CiA 301 or CiA 305 service: frozen dataclasses, enums and tables.

No state, no clock, no I/O. ``encode`` is strict; ``decode`` raises `opendiag.errors.WireError` and nothing else.
`cob_id.classify` is the other view of a frame: it reads anything and never raises.
"""
