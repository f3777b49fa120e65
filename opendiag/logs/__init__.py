"""Files of frames: candump's console output and logs, in every variant, read line by line.

Knows frames and nothing of CANopen.
"""

from opendiag.logs.candump_log import format_log_line
from opendiag.logs.line import parse_line
from opendiag.logs.reader import LogReader, open_log

__all__ = ["LogReader", "format_log_line", "open_log", "parse_line"]
