"""Codes of the findings about a PDO that does not appear, or does not act. The page "Why no PDO" lists them."""

from __future__ import annotations

NONE = "PDO-NONE"
NMT = "PDO-NMT"
OFF = "PDO-OFF"
COB_ID = "PDO-COB-ID"
EMPTY = "PDO-EMPTY"
TYPE = "PDO-TYPE"
RTR = "PDO-RTR"
CLASH = "PDO-CLASH"
NO_SYNC = "PDO-NO-SYNC"
SYNC_COB_ID = "PDO-SYNC-COB-ID"
SYNC_COUNTER = "PDO-SYNC-COUNTER"
RARE = "PDO-RARE"
INHIBIT = "PDO-INHIBIT"
EVENT = "PDO-EVENT"
UNCHANGED = "PDO-UNCHANGED"
SILENT = "PDO-SILENT"
#: Of an RPDO only.
NOT_SENT = "PDO-NOT-SENT"
LENGTH = "PDO-LENGTH"
NO_EFFECT = "PDO-NO-EFFECT"
