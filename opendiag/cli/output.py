"""What commands print: aligned columns, colour on a terminal only, notes on stderr."""

from __future__ import annotations

import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import click

from opendiag.decode.render import Row
from opendiag.findings import Finding, Severity

_STYLES: dict[str, dict[str, Any]] = {
    "": {},
    "quiet": {"dim": True},
    "warning": {"fg": "yellow"},
    "error": {"fg": "red"},
}
#: Widths of frames, time, node, service, object and value. The text comes last and is as long as it is.
_WIDTHS = (7, 12, 5, 10, 40, 14)
#: Text is not wrapped into less than this beside the columns, but indented below them.
_NARROWEST = 24
_INDENT = 16
HEADINGS = ("frames", "time", "node", "service", "object", "value", "")


def columns(cells: Sequence[str], with_time: bool, padded: bool = False) -> str:
    """One line; a cell that is wider than its column pushes the others, it is never cut."""
    *aligned, last = cells
    parts = []
    for place, (cell, width) in enumerate(zip(aligned, _WIDTHS, strict=False)):
        if place == 1 and not with_time:
            continue
        parts.append(cell.rjust(width) if place == 1 else cell.ljust(width))
    line = "  ".join([*parts, last])
    return line if padded else line.rstrip()


#: Signs that a terminal obeys instead of showing them; a device file or a capture may hold any.
_CONTROL = {code: "\ufffd" for code in (*range(0x20), *range(0x7F, 0xA0)) if chr(code) not in "\t\n"}
#: The same in JSON, where the signs below 20h are escaped in any case.
_ESCAPED = {code: f"\\u{code:04x}" for code in range(0x7F, 0xA0)}


def visible(text: str) -> str:
    """The text without signs that move the cursor, colour or rename the terminal."""
    return text if text.isprintable() else text.translate(_CONTROL)


class Printer:
    """Lines to stdout. ``live`` sends each on its way at once, as for a capture that is still being made.

    On a terminal the text column is wrapped under itself, and lines have colours.
    """

    def __init__(self, live: bool = False) -> None:
        self._live = live
        self._colour = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
        self._width = shutil.get_terminal_size().columns if sys.stdout.isatty() else 0

    def line(self, text: str, **style: Any) -> None:
        text = visible(text)
        sys.stdout.write(click.style(text, **style) + "\n" if self._colour and style else text + "\n")
        if self._live:
            sys.stdout.flush()

    def heading(self, with_time: bool) -> None:
        """The line above the rows."""
        self.line(columns(HEADINGS, with_time), bold=True)

    def row(self, row: Row, with_time: bool) -> None:
        cells = [row.frames, row.time, row.node, row.service, row.object, row.value]
        if not row.object and not row.value:  # a service without an object: its text begins where objects do
            cells = cells[:4]
        self.hanging(columns([*cells, ""], with_time, padded=True), row.text, **style(row))

    def hanging(self, head: str, text: str, **style: Any) -> None:
        """``text`` behind ``head``, wrapped under itself where the terminal ends."""
        room = self._width - len(head)
        if not self._width or len(text) <= room:
            self.line((head + text).rstrip(), **style)
            return
        if room < _NARROWEST:  # too little beside the columns: below them
            self.line(head.rstrip(), **style)
            indent = " " * _INDENT
            parts = textwrap.wrap(text, max(self._width - _INDENT, _NARROWEST))
        else:
            indent = " " * len(head)
            first, *parts = textwrap.wrap(text, room)
            self.line(head + first, **style)
        for part in parts:
            self.line(indent + part, **style)

    def json(self, content: Any) -> None:
        """One object on one line."""
        text = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        self.line(text if text.isprintable() else text.translate(_ESCAPED))


def style(row: Row) -> dict[str, Any]:
    """Colours of a row."""
    return _STYLES[row.level]


def note(text: str) -> None:
    """A remark for people, on stderr, after the data that it is about."""
    with suppress(BrokenPipeError):  # whoever says something while it cleans up must get to its end
        sys.stdout.flush()
    click.echo(visible(text), err=True)


def log_notes(findings: Iterable[Finding]) -> None:
    """What could not be read, always; nothing is dropped in silence."""
    sys.stdout.flush()
    for finding in findings:
        click.secho(visible(str(finding)), err=True, fg="yellow" if finding.severity > Severity.INFO else None)


def table(rows: Iterable[Sequence[str]], headings: Sequence[str], right: Sequence[int] = ()) -> None:
    """A small table, all rows in hand; ``right`` are the columns of numbers."""
    from rich.console import Console
    from rich.table import Table

    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, name in enumerate(headings):
        made.add_column(name, justify="right" if place in right else "left", no_wrap=True)
    for cells in rows:
        made.add_row(*map(visible, cells))
    console = Console(file=sys.stdout, highlight=False, markup=False, emoji=False, soft_wrap=True)
    console.width = 10_000  # what is wider than the terminal is wrapped by it, not cut
    with console.capture() as captured:
        console.print(made)
    click.echo("\n".join(line.rstrip() for line in captured.get().splitlines()))


def continued(row: Row) -> Row:
    """A further object of the same PDO: what is the same is not said again."""
    return replace(row, frames="", time="", node="", service="")
