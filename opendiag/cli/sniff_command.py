"""`opendiag sniff`: which bytes change on a bus, one line for each identifier."""

from __future__ import annotations

import shutil
import sys
import time
from typing import TYPE_CHECKING

import click

from opendiag.adapters.can_filter import CanFilter
from opendiag.cli import EXIT_FINDINGS, live, output
from opendiag.cli.end_of_stream import EndOfStream
from opendiag.cli.filters import NOTHING_PASSES, filter_option
from opendiag.cli.live_log import LiveLog
from opendiag.cli.sniff_table import Row, SniffTable
from opendiag.decode.render import frame_text
from opendiag.errors import AdapterError
from opendiag.frame import Frame

if TYPE_CHECKING:
    from rich.table import Table
    from rich.text import Text

#: How often the table is drawn, and how long a change is marked.
_DRAW_S = 0.1
_MARK_NS = 1_000_000_000
#: After this an identifier is shown as silent.
_SILENT_NS = 5_000_000_000
#: Lines of the screen that rows cannot have.
_MARGIN = 3


@click.command(short_help="Show which bytes change, one line for each identifier.")
@live.interface_option
@filter_option
@click.option("--learn", "learn_s", metavar="TIME", callback=live.seconds, help="What changes in this time is noise.")
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="End after this time, as in 10s.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N frames.")
@click.option("--lines", is_flag=True, help="A line for each change instead of a table, on a terminal too.")
@click.option("--listen-only", is_flag=True, help="The adapter acknowledges nothing, where it can be told so.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each change.")
@click.option("-q", "--quiet", is_flag=True, help="No summary on stderr.")
def command(
    interface: str | None,
    frame_filter: CanFilter | None,
    learn_s: float | None,
    seconds: float | None,
    count: int | None,
    lines: bool,
    listen_only: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show which bytes change on a bus, until Ctrl-C. Sends nothing.

    On a terminal a table: one line for each identifier, changed bytes marked for a second, the period of its frames.
    Elsewhere one line for each change. With --learn 5s, bits that change in the first 5 s do not count afterwards: then
    move one thing, and see where it is.
    """
    with live.network(interface, listen_only=listen_only, sends=False, quiet=quiet) as network:
        log = LiveLog(network, seconds, count, look_s=_DRAW_S)
        shown: _Lines | _Screen = _Lines(as_json) if as_json or lines or not sys.stdout.isatty() else _Screen()
        failure: AdapterError | None = None
        table = SniffTable(learning=bool(learn_s))
        until = network.clock.now() + (learn_s or 0.0)
        try:
            with shown, EndOfStream(True) as end:
                for frame in end.read(log):
                    if table.learning and network.clock.now() >= until:
                        table.learning = False
                    _take(table, frame, frame_filter, shown)
        except AdapterError as error:
            failure = error
        findings = log.findings
    output.log_notes(findings)
    if not quiet:
        frames, ids = log.frames, len(table.rows)
        said = f"{frames} frame{'s' * (frames != 1)}, {ids} identifier{'s' * (ids != 1)}"
        output.note(f"{network.name}: {said}.")
        if frame_filter is not None and not table.rows:
            output.note(NOTHING_PASSES)
    if failure is not None:
        raise failure
    if findings:
        sys.exit(EXIT_FINDINGS)


def _take(table: SniffTable, frame: Frame | None, wanted: CanFilter | None, shown: _Lines | _Screen) -> None:
    if frame is not None and (wanted is None or wanted.matches(frame)):
        shown.changed(table, table.feed(frame))
    else:
        shown.idle(table)


class _Lines:
    """One line for each change."""

    def __init__(self, as_json: bool) -> None:
        self._as_json = as_json
        self._printer = output.Printer(live=True)
        self._first_ns: int | None = None

    def __enter__(self) -> _Lines:
        return self

    def __exit__(self, *exception: object) -> None:
        pass

    def changed(self, table: SniffTable, row: Row) -> None:
        if self._first_ns is None:
            self._first_ns = row.last_ns
        if table.learning or not row.has_changed:
            return
        if self._as_json:
            self._printer.json(_fields(row))
            return
        at = f"{(row.last_ns - self._first_ns) / 1e9:12.6f}"
        self._printer.line(f"{at}  {frame_text(row.frame):<36}  {_words(row)}")

    def idle(self, table: SniffTable) -> None:
        pass


def _words(row: Row) -> str:
    """What is new about it."""
    if row.new:
        return "new"
    parts = [
        f"byte {place}: {row.before[place]:02X} -> {row.data[place]:02X}"
        for place, bits in enumerate(row.changed)
        if bits and place < len(row.before)
    ]
    if len(row.data) != len(row.before):
        parts.append(f"{len(row.data)} bytes after {len(row.before)}")
    return ", ".join(parts)


def _fields(row: Row) -> dict[str, object]:
    return {
        "t_ns": row.last_ns,
        "id": row.frame.id_text,
        "data": row.data.hex(),
        "before": None if row.new else row.before.hex(),
        "changed": row.changed.hex(),
        "count": row.count,
        "period_ms": row.period_ms,
    }


class _Screen:
    """A table that is drawn again and again; the last one stays."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._live = Live(console=Console(highlight=False), auto_refresh=False, redirect_stdout=False)
        self._drawn_at = float("-inf")
        self._table: SniffTable | None = None
        self._seen = 0, 0.0

    def __enter__(self) -> _Screen:
        self._live.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self._table is not None:
            self._draw(self._table)
        self._live.stop()

    def changed(self, table: SniffTable, row: Row) -> None:
        self._seen = row.last_ns, time.monotonic()
        self.idle(table)

    def idle(self, table: SniffTable) -> None:
        self._table = table
        if time.monotonic() - self._drawn_at >= _DRAW_S:
            self._drawn_at = time.monotonic()
            self._draw(table)

    def _draw(self, table: SniffTable) -> None:
        lines = shutil.get_terminal_size().lines - _MARGIN
        at_ns, seen_at = self._seen  # on the clock of the frames, which may be another one than the computer's
        now_ns = at_ns + round((time.monotonic() - seen_at) * 1e9)
        self._live.update(drawn(table, now_ns, lines), refresh=True)


def drawn(table: SniffTable, now_ns: int, room: int) -> Table:
    """The table for a screen with so many lines for rows."""
    from rich.table import Table

    learning = " (learning what is noise)" if table.learning else ""
    made = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for name, justify in (("period ms", "right"), ("count", "right"), ("id", "right"), (f"data{learning}", "left")):
        made.add_column(name, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    made.add_column("", no_wrap=True)
    rows = table.sorted()
    for row in rows[: max(room, 1)]:
        silent = now_ns - row.last_ns > _SILENT_NS
        period = "-" if row.period_ms is None else f"{row.period_ms:.1f}"
        cells = _data(row, now_ns)
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row.data)
        made.add_row(period, str(row.count), row.frame.id_text, cells, text, style="dim" if silent else "")
    if len(rows) > room:
        made.add_row("", "", "...", f"{len(rows) - max(room, 1)} more identifiers: --filter chooses")
    return made


def _data(row: Row, now_ns: int) -> Text:
    """The bytes; those of the last change stand out for a while."""
    from rich.text import Text

    if row.frame.remote:
        return Text("remote request")
    fresh = now_ns - row.changed_ns < _MARK_NS
    made = Text()
    for place, byte in enumerate(row.data):
        marked = fresh and place < len(row.marked) and row.marked[place]
        made.append(f"{byte:02X}", style="bold red" if marked else "")
        made.append(" ")
    return made
