"""The picture of `opendiag top`: lines of text, as wide as the terminal, from one `Snapshot`."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Group
from rich.text import Text

from opendiag.cia402.states import PdsState
from opendiag.cli.output import visible
from opendiag.cli.top_snapshot import BusShown, NodeShown, Range, SignalShown, Snapshot
from opendiag.decode.render import row
from opendiag.wire.nmt import NmtState

_HEADINGS = ("node", "name", "NMT", "402 state", "HB ms", "SDO ms", "frames/s", "last EMCY")
_RIGHT = (0, 4, 5, 6)
_GAP = "  "
_INDENT = " " * 6
#: With less room than this beside the other columns, emergencies have a line of their own below.
_EMCY_ROOM = 30
_LONGEST_NAME = 16
#: Values older than this say how old they are.
_OLD_S = 2.0
_BUSY, _FULL = 0.5, 0.8
_NMT = {
    NmtState.INITIALISING: ("boot-up", "yellow"),
    NmtState.STOPPED: ("STOPPED", "yellow"),
    NmtState.OPERATIONAL: ("OPER", "green"),
    NmtState.PRE_OPERATIONAL: ("PRE-OP", ""),
}
_PDS = {
    PdsState.OPERATION_ENABLED: "green",
    PdsState.QUICK_STOP_ACTIVE: "yellow",
    PdsState.FAULT_REACTION_ACTIVE: "red",
    PdsState.FAULT: "red",
}
_STATES = {"error-active": "green", "error-warning": "yellow", "error-passive": "red", "bus-off": "bold red"}


def lines(snapshot: Snapshot, width: int) -> list[Text]:
    """All of it, cut at ``width`` columns, however many lines that takes."""
    return [*_head(snapshot, width), Text(), *_body(snapshot, width)]


def picture(snapshot: Snapshot, width: int, height: int, scrolled: int = 0) -> Group:
    """As many lines as the screen has. The lines below the headings begin ``scrolled`` further down."""
    head = [*_head(snapshot, width), Text()]
    first, *rest = _body(snapshot, width)
    room = max(height - len(head) - 2, 1)
    scrolled = min(scrolled, max(len(rest) - room, 0))
    shown = rest[scrolled : scrolled + room]
    more = len(rest) - scrolled - len(shown)
    foot = "q quits"
    if more or scrolled:
        foot += f"; arrows scroll: {more} lines below" + (f", {scrolled} above" if scrolled else "")
    blank = [Text()] * (room - len(shown))
    return Group(*head, first, *shown, *blank, _cut(Text(foot, style="dim"), width))


# --- the bus ---------------------------------------------------------------------------------------------------------


def _head(snapshot: Snapshot, width: int) -> list[Text]:
    """One line, or more where it is too long."""
    made: list[Text] = []
    for part in _bus_parts(snapshot.bus, snapshot.elapsed_s):
        if made and made[-1].cell_len + len(_GAP) + part.cell_len <= width:
            made[-1].append(_GAP).append_text(part)
        else:
            made.append(Text().append_text(part))  # a text of its own, whose style ends where the part does
    return [_cut(line, width) for line in made]


def _bus_parts(bus: BusShown, elapsed_s: float) -> Iterable[Text]:
    yield Text(visible(bus.name), style="bold")
    if bus.bit_rate is not None:
        yield Text(f"{bus.bit_rate / 1000:g} kbit/s")
    yield _load(bus)
    yield Text(f"{_rate(bus.frames_per_s)} frames/s")
    if bus.state is not None:
        yield Text(bus.state, style=_STATES.get(bus.state, ""))
    if bus.tx_errors is not None or bus.rx_errors is not None:
        bad = bool(bus.tx_errors or bus.rx_errors)
        yield Text(f"TEC {_or_dash(bus.tx_errors)} REC {_or_dash(bus.rx_errors)}", style="yellow" if bad else "")
    in_all = f" ({bus.error_frames} in all)" if bus.error_frames else ""
    yield Text(f"{bus.errors_per_s:.0f} errors/s{in_all}", style="red" if bus.errors_per_s else "")
    yield Text(_clock(elapsed_s))


def _load(bus: BusShown) -> Text:
    if bus.load is None or bus.peak is None:
        return Text("load unknown: no bit rate" if bus.bit_rate is None else "load -")
    style = "red" if bus.load >= _FULL else "yellow" if bus.load >= _BUSY else ""
    return Text(f"load {_percent(bus.load)} (peak {_percent(bus.peak)})", style=style)


def _percent(part: float) -> str:
    return f"{part * 100:.1f} %" if part < 0.1 else f"{part * 100:.0f} %"


def _rate(per_s: float) -> str:
    return f"{per_s:.1f}" if 0 < per_s < 10 else f"{per_s:.0f}"


def _or_dash(number: int | None) -> str:
    return "-" if number is None else str(number)


def _clock(seconds: float) -> str:
    whole = int(seconds)
    return f"{whole // 3600:02d}:{whole // 60 % 60:02d}:{whole % 60:02d}"


# --- the nodes -------------------------------------------------------------------------------------------------------


def _body(snapshot: Snapshot, width: int) -> list[Text]:
    """Headings first."""
    table = [[Text(name, style="bold") for name in _HEADINGS], *(_cells(node) for node in snapshot.nodes)]
    widths = [max(row[place].cell_len for row in table) for place in range(len(_HEADINGS) - 1)]
    beside = width - sum(widths) - len(_GAP) * len(widths) >= _EMCY_ROOM
    rows = [_aligned(cells if beside else cells[:-1], widths) for cells in table]
    made = [rows[0]]
    for node, line in zip(snapshot.nodes, rows[1:], strict=True):
        made.append(line)
        made += [Text(_INDENT) + part for part in _below(node, beside)]
    if not snapshot.nodes:
        made.append(Text("No node was heard yet.", style="dim"))
    return [_cut(line, width) for line in made]


def _cells(node: NodeShown) -> list[Text]:
    name = visible(node.name or "-")
    if len(name) > _LONGEST_NAME:
        name = f"{name[: _LONGEST_NAME - 1]}…"
    return [
        Text(str(node.node_id), style="bold"),
        Text(name),
        _nmt(node),
        _pds(node),
        _range(node.heartbeat, bad=node.lost or node.losses > 0),
        _range(node.sdo, bad=node.unanswered > 0),
        Text(_rate(node.frames_per_s) if node.heard else "-"),
        _emcy(node),
    ]


def _nmt(node: NodeShown) -> Text:
    if node.lost:
        return Text("LOST", style="bold red")
    return Text("-") if node.nmt is None else Text(*_NMT[node.nmt])


def _pds(node: NodeShown) -> Text:
    if len(node.pds) == 1:
        (_, state), *_ = node.pds
        return Text(state.value.capitalize(), style=_PDS.get(state, ""))
    parts = [Text(f"{axis + 1}: {state.value.capitalize()}", style=_PDS.get(state, "")) for axis, state in node.pds]
    return Text(", ").join(parts) if parts else Text("-")


def _range(shown: Range | None, bad: bool) -> Text:
    """As in "99/103": least and most."""
    if shown is None:
        return Text("-")
    return Text(f"{_ms(shown.min_ms)}/{_ms(shown.max_ms)}", style="yellow" if bad else "")


def _ms(value: float) -> str:
    return f"{value:.0f}" if value >= 10 else f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def _emcy(node: NodeShown) -> Text:
    """The last emergency, how old it is, and how many there were."""
    emcy = node.emcy
    if emcy is None:
        return Text("-")
    first, _, rest = visible(emcy.text).partition("; ")
    more = f", {emcy.count} in all" if emcy.count > 1 else ""
    made = Text().append(first, style="red" if emcy.code else "dim").append(f" ({_ago(emcy.age_s)}{more})")
    return made.append(f"; {rest}" if rest else "", style="dim")


def _below(node: NodeShown, beside: bool) -> Iterable[Text]:
    """What has no column: what is wrong, and chosen values."""
    if not beside and node.emcy is not None:
        yield Text("EMCY ") + _emcy(node)
    for text in _troubles(node):
        yield Text(text, style="yellow")
    width = max((len(_object(signal)) for signal in node.signals), default=0)
    for signal in node.signals:
        yield _signal(signal, width)


def _troubles(node: NodeShown) -> Iterable[str]:
    if not node.heard:
        yield "never heard"
    if node.lost_s is not None:
        often = f", {node.losses} times in all" if node.losses > 1 else ""
        yield f"not heard for {_duration(node.lost_s)}, longer than it should be silent{often}"
    elif node.losses:
        yield f"was lost {_times(node.losses)}, and came back"
    if node.boot_ups > 1:
        yield f"started {_times(node.boot_ups)}"
    if node.unanswered or node.aborts:
        parts = [f"{node.unanswered} not answered"] * bool(node.unanswered)
        parts += [f"{node.aborts} refused or broken off"] * bool(node.aborts)
        yield f"SDO transfers: {', '.join(parts)}"


def _signal(signal: SignalShown, width: int) -> Text:
    made = Text(f"{_object(signal):<{width}}  ")
    if signal.record is None:
        return made.append(signal.problem or "not seen yet; --poll reads what no PDO has", style="dim")
    shown = row(signal.record)
    made.append(visible(shown.value), style="bold")
    text = shown.text.removeprefix("unchanged").removeprefix("; ")
    if text:
        made.append(f"  {visible(text)}")
    if signal.age_s >= _OLD_S:
        made.append(f"  {_ago(signal.age_s)}", style="dim")
    if signal.problem:
        made.append(f"  {signal.problem}", style="yellow")
    return made


def _object(signal: SignalShown) -> str:
    return f"{signal.object_text} {visible(signal.name or '')}".rstrip()


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _ago(seconds: float) -> str:
    return "now" if seconds < 1 else f"{_duration(seconds)} ago"


def _duration(seconds: float) -> str:
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.0f} h"


def _aligned(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    """Cells side by side; the last one is as long as it is, unless it has a width too."""
    made = Text()
    for place, cell in enumerate(cells):
        pad = " " * (widths[place] - cell.cell_len) if place < len(widths) else ""
        made.append(_GAP if place else "")
        made.append_text(Text(pad) + cell if place in _RIGHT else cell + Text(pad))
    return made


def _cut(line: Text, width: int) -> Text:
    line = line.copy()
    line.rstrip()
    line.truncate(width, overflow="ellipsis")
    line.no_wrap = True
    return line
