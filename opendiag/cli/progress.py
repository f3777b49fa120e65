"""Progress bars for long work: on a terminal's stderr only.

They never redirect stdout: rich would print there what belongs into the file that a user redirects into.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol


class Readable(Protocol):
    """Bytes of a file, None in total for a stream."""

    bytes_total: int | None

    @property
    def bytes_read(self) -> int: ...


_WORTH_A_BAR = 4_000_000
_EVERY = 5_000


@contextmanager
def progress(log: Readable) -> Iterator[Callable[[], None]]:
    """Call the result once for each frame."""
    total = log.bytes_total
    if total is None or total < _WORTH_A_BAR or not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TimeRemainingColumn

    shown = Progress(
        BarColumn(), DownloadColumn(), TimeRemainingColumn(), console=Console(stderr=True), redirect_stdout=False
    )
    with shown:
        task = shown.add_task("reading", total=total)
        count = 0

        def advance() -> None:
            nonlocal count
            count += 1
            if count % _EVERY == 0:
                shown.update(task, completed=log.bytes_read)

        yield advance


@contextmanager
def transfer_progress(what: str, worth_it: bool = True) -> Iterator[Callable[[int, int | None], None] | None]:
    """Call the result with the bytes transferred and their total, None while that is not known."""
    if not worth_it or not sys.stderr.isatty():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
    )
    with shown:
        task = shown.add_task(what, total=None)
        yield lambda done, total: shown.update(task, completed=done, total=total)


@contextmanager
def counted(what: str, total: int, rows: bool = True) -> Iterator[Callable[[], None]]:
    """Call the result once for each of ``total`` pieces of work. ``rows`` on the same terminal are progress enough."""
    if not sys.stderr.isatty() or (rows and sys.stdout.isatty()):
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    shown = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        redirect_stdout=False,
    )
    with shown:
        task = shown.add_task(what, total=total)
        yield lambda: shown.advance(task)
