"""`opendiag nmt`: start, stop and reset nodes, and what they told afterwards."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import click

from opendiag.cli import EXIT_FINDINGS, live, output
from opendiag.cli.nmt_watch import watch
from opendiag.cli.options import node_id
from opendiag.cli.verbs import verb_argument
from opendiag.diagnose.situation import listed
from opendiag.errors import SdoError, WireError
from opendiag.frame import Frame
from opendiag.master.network import Network
from opendiag.master.node_nmt import HEARTBEAT, heartbeat_wait_s, may_ask, told_period
from opendiag.master.streams import FrameStream
from opendiag.master.transfers import PendingTransfer
from opendiag.services.nmt import TOLD_AFTER, command_frame
from opendiag.wire.heartbeat import ErrorControl
from opendiag.wire.nmt import ALL_NODES, NmtCommand, NmtState

_VERBS = {
    "start": NmtCommand.START,
    "stop": NmtCommand.STOP,
    "preop": NmtCommand.ENTER_PRE_OPERATIONAL,
    "reset": NmtCommand.RESET_NODE,
    "reset-comm": NmtCommand.RESET_COMMUNICATION,
}
_ALL_VERBS = (*_VERBS, "watch")
_RESETS = (NmtCommand.RESET_NODE, NmtCommand.RESET_COMMUNICATION)
_ERROR_CONTROL = 0x700
#: A node that has told nothing by then is asked whether it has a heartbeat at all.
_ASK_AFTER_S = 0.1
_LOOK_S = 0.02
#: Before the client asks again by itself.
_ANSWER_S = 0.4
_USUAL_S = 3.0
#: Devices of a simulated bus boot when it is opened; that is no answer.
_SETTLE_S = 0.002


@click.command(short_help="Start, stop and reset nodes.")
@verb_argument(_ALL_VERBS, "|".join(_ALL_VERBS))
@click.argument("node", required=False, metavar="NODE|all")
@live.interface_option
@click.option("--wait", "wait_s", callback=live.seconds, metavar="TIME",
              help="How long a node may take to tell its state; 0: do not wait. Without: as long as its heartbeat "
              "(1017h) needs, 3 s where that is not known.")  # fmt: skip
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="End watching after this time.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End watching after N events.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each node or event.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def command(
    verb: str,
    node: str | None,
    interface: str | None,
    wait_s: float | None,
    seconds: float | None,
    count: int | None,
    as_json: bool,
    quiet: bool,
) -> None:
    """Send an NMT command to NODE or to all, and say what was told afterwards, and when. Transmits.

    A node that is started begins with its process data: what is connected to it may move. A node tells its state with
    its next heartbeat, and the end of a reset with its boot-up message. Exit code 1 when it told something else, or
    nothing although it has a heartbeat.

    `nmt watch [NODE]` sends nothing: it shows who boots, changes state, falls silent and comes back.
    """
    number = None if node in (None, "all") else node_id(node)
    if verb == "watch":
        with live.network(interface, sends=False, quiet=quiet) as network:
            watch(network, number, seconds, count, output.Printer(live=True), as_json)
        return
    if node is None:
        raise click.UsageError(f"{verb}: which node? Give its node-ID, or all")
    if seconds is not None or count is not None:
        raise click.UsageError("--for and --count end `nmt watch`; --wait is for the other verbs")
    with live.network(interface, unconfirmed=True, quiet=quiet) as network:
        order = _Order(network, _VERBS[verb], number or ALL_NODES, wait_s)
        printer = output.Printer(live=True)
        results = []
        for result in order.results():
            results.append(result)
            _print(result, printer, as_json)
        if not results and not quiet:
            waited = "not waited for an answer" if wait_s == 0 else f"nobody told its state within {order.wait_s:g} s"
            output.note(f"{_VERBS[verb].text}: sent to all nodes; {waited}")
    if wait_s != 0 and not (results and all(result.ok for result in results)):
        sys.exit(EXIT_FINDINGS)


@dataclass(frozen=True, slots=True)
class _Result:
    """``state`` None: it told nothing; ``text`` says why, if that is known."""

    node_id: int
    command: NmtCommand
    state: NmtState | None
    booted: bool
    took_s: float | None
    ok: bool
    text: str = ""

    def to_dict(self) -> dict[str, Any]:
        return {
            "node": self.node_id,
            "command": self.command.name,
            "told": None if self.state is None else self.state.name,
            "boot_up": self.booted,
            "took_ms": None if self.took_s is None else round(self.took_s * 1000, 3),
            "ok": self.ok,
            "text": self.text or None,
        }


def _print(result: _Result, printer: output.Printer, as_json: bool) -> None:
    if as_json:
        printer.json(result.to_dict())
        return
    words = [] if result.state is None else [result.state.text]
    if result.took_s is not None:
        words.append(f"{'boot-up' if result.booted else 'told'} after {result.took_s * 1000:.1f} ms")
    text = ", ".join([*words, result.text] if result.text else words)
    printer.hanging(f"node {result.node_id:<3}  ", text, **({} if result.ok else {"fg": "yellow"}))


class _Order:
    """One command, and what comes of it. ``target`` 0: all nodes. ``wait_s`` None: as long as it should take."""

    def __init__(self, network: Network, order: NmtCommand, target: int, wait_s: float | None) -> None:
        self._network = network
        self._order = order
        self._target = target
        self.wait_s = _USUAL_S if wait_s is None else wait_s
        self._adapts = wait_s is None
        self._wanted = TOLD_AFTER[order]
        self._others: dict[int, NmtState] = {}
        self._done: set[int] = set()
        self._sent_at = 0.0
        self._period: float | None = None

    def results(self) -> Iterator[_Result]:
        """Send it. A result for each node as soon as there is one; the disappointing ones at the end."""
        network = self._network
        network.sleep(_SETTLE_S)
        with network.frames() as stream:
            with network.pump.lock:  # what was heard before does not count
                network.pump.catch_up()
                stream.clear()
                network.send(command_frame(self._order, self._target))
                self._sent_at = network.clock.now()
            if not self.wait_s:
                if self._target:
                    yield _Result(self._target, self._order, None, False, None, True, "sent; not waited for an answer")
                return
            yield from self._listen(stream)
        if self._target and self._target not in self._done:
            yield self._silent()
        elif not self._target:
            yield from (self._disappointing(node_id) for node_id in sorted(self._others.keys() - self._done))

    def _listen(self, stream: FrameStream) -> Iterator[_Result]:
        now = self._network.clock.now
        until = self._sent_at + self.wait_s
        asked: PendingTransfer | None = None
        asked_at = 0.0
        while (rest := until - now()) > 0 and not (self._target and self._target in self._done):
            frame = stream.get(min(rest, _LOOK_S))
            result = None if frame is None else self._heard(frame, now())
            if result is not None:
                yield result
            if asked is None and self._may_ask() and now() - self._sent_at >= min(_ASK_AFTER_S, self.wait_s / 2):
                asked = self._network[self._target].begin_upload(HEARTBEAT)
                asked_at = now()
            elif asked is not None and not asked.done and now() - asked_at >= _ANSWER_S:
                asked.cancel()  # it is not there, or busy; to ask again would be told as something odd
            elif asked is not None and self._period is None and asked.done:
                self._period = _period(asked)
                if self._period == 0:
                    break
                if self._period is not None and self._adapts:
                    self.wait_s = heartbeat_wait_s(self._period)
                    until = self._sent_at + self.wait_s
        if asked is not None and not asked.done and self._target not in self._done:
            self._network.sleep(_ASK_AFTER_S)  # its answer says why nothing was told
        if asked is not None and asked.done and self._period is None:
            self._period = _period(asked)
        if asked is not None:
            asked.cancel()

    def _may_ask(self) -> bool:
        return bool(self._target) and may_ask(self._order)

    def _heard(self, frame: Frame, now: float) -> _Result | None:
        node_id = frame.can_id - _ERROR_CONTROL
        if not 1 <= node_id <= 127 or frame.extended or frame.remote or frame.error or frame.direction == "tx":
            return None
        if node_id in self._done or self._target not in (ALL_NODES, node_id):
            return None
        try:
            message = ErrorControl.decode(frame.data)
        except WireError:
            return None
        state = NmtState.PRE_OPERATIONAL if message.is_boot_up else message.state
        if state is not self._wanted or (self._order in _RESETS and not message.is_boot_up):
            self._others[node_id] = state  # it may have been on its way already
            return None
        self._done.add(node_id)
        return _Result(node_id, self._order, state, message.is_boot_up, now - self._sent_at, True)

    def _silent(self) -> _Result:
        """What is to be said of the one node that did not tell what it should."""
        if self._target in self._others:
            return self._disappointing(self._target)
        if self._period == 0:
            text = "sent; the node has no heartbeat (1017h is 0) to tell its state with"
            return _Result(self._target, self._order, None, False, None, True, text)
        text = f"told nothing within {self.wait_s:g} s"
        if self._period and self._period > self.wait_s:
            text += f": its heartbeat has a period of {self._period * 1000:g} ms (1017h), longer than that"
        elif self._period:
            text += f", although its heartbeat has a period of {self._period * 1000:g} ms (1017h)"
        elif self._order in _RESETS:
            text += ": no boot-up message"
        else:
            text += ": it has no heartbeat, or is not there" + self._others_there()
        return _Result(self._target, self._order, None, False, None, False, text)

    def _others_there(self) -> str:
        there = [node for node in self._network.watch.heard_nodes() if node.node_id != self._target]
        return f"; heard on this bus: {listed(there)}" if there else ""

    def _disappointing(self, node_id: int) -> _Result:
        missing = "no boot-up message came" if self._order in _RESETS else f"{self._wanted.text} was expected"
        return _Result(node_id, self._order, self._others[node_id], False, None, False, missing)


def _period(asked: PendingTransfer) -> float | None:
    """Seconds in 1017h; None when the node did not say."""
    try:
        return told_period(asked)
    except SdoError:
        return None
