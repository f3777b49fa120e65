"""Files of frames: candump's console output and logs, in every variant, read line by line; and captures written.

Knows frames and nothing of CANopen.
"""

from opendiag.logs.candump_log import format_log_line
from opendiag.logs.line import parse_line
from opendiag.logs.reader import LogReader, open_log
from opendiag.logs.writer import LogWriter, check_target, open_writer

__all__ = ["LogReader", "LogWriter", "check_target", "format_log_line", "open_log", "open_writer", "parse_line"]
