"""What commands print: aligned columns, colour on a terminal only, notes on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click

from opendiag.decode.render import Row
from opendiag.findings import Severity
from opendiag.logs import LogReader

_STYLES: dict[str, dict[str, Any]] = {
    "": {},
    "quiet": {"dim": True},
    "warning": {"fg": "yellow"},
    "error": {"fg": "red"},
}
#: Widths of frames, time, node, service, object and value. The text comes last and is as long as it is.
_WIDTHS = (7, 12, 5, 10, 40, 12)
HEADINGS = ("frames", "time", "node", "service", "object", "value", "")


def columns(cells: Sequence[str], with_time: bool) -> str:
    """One line; a cell that is wider than its column pushes the others, it is never cut."""
    parts = []
    for place, (cell, width) in enumerate(zip(cells, _WIDTHS, strict=False)):
        if place == 1 and not with_time:
            continue
        parts.append(cell.rjust(width) if place == 1 else cell.ljust(width))
    return "  ".join([*parts, cells[-1]]).rstrip()


def heading(with_time: bool) -> None:
    """The line above the rows."""
    click.secho(columns(HEADINGS, with_time), bold=True)


def print_row(row: Row, with_time: bool) -> None:
    cells = (row.frames, row.time, row.node, row.service, row.object, row.value, row.text)
    click.secho(columns(cells, with_time), **_STYLES[row.level])


def print_json(content: Any) -> None:
    """One object on one line."""
    click.echo(json.dumps(content, ensure_ascii=False, separators=(",", ":")))


def note(text: str) -> None:
    """A remark for people, on stderr."""
    click.echo(text, err=True)


def log_notes(log: LogReader) -> None:
    """What could not be read, always; nothing is dropped in silence."""
    for finding in log.findings:
        click.secho(str(finding), err=True, fg="yellow" if finding.severity > Severity.INFO else None)


def table(rows: Iterable[Sequence[str]], headings: Sequence[str], right: Sequence[int] = ()) -> None:
    """A small table, all rows in hand; ``right`` are the columns of numbers."""
    from rich.console import Console
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(headings):
        made.add_column(name, justify="right" if place in right else "left", no_wrap=True)
    for cells in rows:
        made.add_row(*cells)
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = 10_000  # a pipe has no edge to cut at
    with console.capture() as captured:
        console.print(made)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def continued(row: Row) -> Row:
    """A further object of the same PDO: what is the same is not said again."""
    from dataclasses import replace

    return replace(row, frames="", time="", node="", service="")
