"""A progress bar for long captures: on a terminal's stderr only, and only when stdout goes elsewhere."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from opendiag.logs import LogReader

_WORTH_A_BAR = 4_000_000
_EVERY = 5_000


@contextmanager
def progress(log: LogReader) -> Iterator[Callable[[], None]]:
    """Call the result once for each frame."""
    total = log.bytes_total
    if total is None or total < _WORTH_A_BAR or not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    shown = Progress(BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True))
    with shown:
        task = shown.add_task("reading", total=total)
        count = 0

        def advance() -> None:
            nonlocal count
            count += 1
            if count % _EVERY == 0:
                shown.update(task, completed=log.bytes_read)

        yield advance
