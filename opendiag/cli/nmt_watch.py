"""`opendiag nmt watch`: who boots, changes state, falls silent and comes back."""

from __future__ import annotations

from typing import Any

from opendiag.cli.output import Printer
from opendiag.master.network import Network
from opendiag.services.heartbeat import BootedUp, NodeFound, NodeLost, StateChanged

Event = BootedUp | StateChanged | NodeLost | NodeFound
_KINDS = (BootedUp, StateChanged, NodeLost, NodeFound)
_NAMES = {BootedUp: "boot-up", StateChanged: "state", NodeLost: "lost", NodeFound: "found"}
_STYLES = {NodeLost: {"fg": "red"}, NodeFound: {"fg": "yellow"}, BootedUp: {"fg": "yellow"}, StateChanged: {}}


def watch(
    network: Network, node_id: int | None, seconds: float | None, count: int | None, printer: Printer, as_json: bool
) -> None:
    """Until Ctrl-C, that time, or so many events; ``node_id`` None: of all nodes. Raise AdapterError."""
    clock = network.clock
    began = clock.now()
    until = None if seconds is None else began + seconds
    shown = 0
    booted: tuple[int, float] | None = None
    with network.events(*_KINDS, node_id=node_id) as events:
        try:
            while (count is None or shown < count) and (until is None or clock.now() < until):
                event = events.get(None if until is None else max(until - clock.now(), 0.0))
                if event is None:
                    continue
                if isinstance(event, BootedUp):
                    booted = event.node_id, event.at
                elif isinstance(event, StateChanged) and booted == (event.node_id, event.at):
                    continue  # the boot-up has said it
                shown += 1
                _print(event, began, printer, as_json)
        except KeyboardInterrupt:
            return


def _print(event: Event, began: float, printer: Printer, as_json: bool) -> None:
    if as_json:
        printer.json(fields(event))
        return
    head = f"{event.at - began:12.6f}  {event.node_id:<5}  {_NAMES[type(event)]:<8}  "
    printer.hanging(head, text(event), **_STYLES[type(event)])


def fields(event: Event) -> dict[str, Any]:
    """The JSON form."""
    made: dict[str, Any] = {"t": round(event.at, 6), "node": event.node_id, "event": _NAMES[type(event)]}
    if isinstance(event, StateChanged):
        made |= {"state": event.state.name, "before": None if event.before is None else event.before.name}
    elif isinstance(event, NodeLost):
        made |= {"last_heard": event.last_heard, "allowed_s": event.allowed_s, "by": event.by}
    elif isinstance(event, NodeFound):
        made |= {"gap_s": event.gap_s, "losses": event.losses, "by": event.by}
    return made


def text(event: Event) -> str:
    """As in "PRE-OPERATIONAL -> OPERATIONAL"."""
    if isinstance(event, BootedUp):
        return "started, and is PRE-OPERATIONAL"
    if isinstance(event, StateChanged):
        return event.state.text if event.before is None else f"{event.before.text} -> {event.state.text}"
    if isinstance(event, NodeLost):
        what = "heartbeat" if event.by == "heartbeat" else "answer to node guarding"
        return f"no {what} for more than {round(event.allowed_s, 3):g} s"
    often = "" if event.losses < 2 else f"; lost {event.losses} times so far"
    return f"back after {event.gap_s:.3f} s of silence{often}"
