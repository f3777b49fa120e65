"""`opendiag top`: the whole network on one screen."""

from __future__ import annotations

import io
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr
from typing import Protocol

import click

from opendiag.cli import EXIT_FINDINGS, live, output
from opendiag.cli.end_of_stream import EndOfStream
from opendiag.cli.live_log import LiveLog
from opendiag.cli.options import EdsChoice, eds_options, node_id
from opendiag.cli.top_facts import Facts
from opendiag.cli.top_keys import Keys
from opendiag.cli.top_model import Key, TopModel
from opendiag.cli.top_poll import Poller
from opendiag.cli.top_snapshot import Snapshot
from opendiag.dictionary import names
from opendiag.errors import AdapterError, ObjectNotFound
from opendiag.master.network import Network

#: How often keys are looked at, how often the screen is drawn, and how often a picture comes elsewhere.
_LOOK_S, _SCREEN_S, _LINES_S = 0.05, 0.25, 1.0
#: With --once: longer than two heartbeats of most nodes.
_ONCE_S = 2.5


@click.command(short_help="Show the whole network on one screen: load, nodes, states, errors.")
@live.interface_option
@eds_options
@click.option("--signal", "signals", multiple=True, metavar="N:OBJECT",
              help="Show this object of node N, as in 101:6064; by name ('101:Target Torque') with --eds or --poll. "
              "May be repeated.")  # fmt: skip
@click.option("--poll", "poll_s", is_flag=False, flag_value="1s", metavar="[TIME]", callback=live.seconds,
              help="Read the chosen objects that no PDO brings by SDO, every second or TIME. Transmits.")  # fmt: skip
@click.option("--once", is_flag=True, help="One picture, after 2.5 s or the time of --for.")
@click.option("--every", "every_s", metavar="TIME", callback=live.seconds, help="Time between pictures.")
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="End after this time, as in 10s.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N pictures.")
@click.option("--listen-only", is_flag=True, help="The adapter acknowledges nothing, where it can be told so.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each picture.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def command(
    interface: str | None,
    eds: EdsChoice,
    signals: tuple[str, ...],
    poll_s: float | None,
    once: bool,
    every_s: float | None,
    seconds: float | None,
    count: int | None,
    listen_only: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show load, errors and all nodes of a bus on one screen, until q or Ctrl-C. Sends nothing, except with --poll.

    frames/s: in the last second. HB ms: least and most time between two heartbeats. SDO ms: between request and
    answer, ours or those of other masters. TEC, REC: error counters of the adapter. Names need --eds, or
    somebody who reads the identity of the nodes. In a pipe: a picture every second, as text or JSON.
    """
    if once and (count or every_s):
        raise click.UsageError("--once is one picture: --count and --every do not go with it")
    if poll_s is not None and not signals:
        raise click.UsageError("--poll reads what --signal chooses: give a --signal, as in --signal 101:6064")
    if poll_s is not None and listen_only:
        raise click.UsageError("--poll transmits, and --listen-only does not: take one")
    if 0.0 in (every_s, poll_s):
        raise click.UsageError("--every and --poll: a time of 0 is none")
    wanted = _wanted(signals, eds, poll_s is not None)
    on_screen = sys.stdout.isatty() and not (as_json or once)
    if once:
        count, every_s, seconds = 1, seconds or _ONCE_S, None
    every_s = every_s or (_SCREEN_S if on_screen else _LINES_S)
    shown: _Shown = _Screen() if on_screen else _Json() if as_json else _Text()
    with live.network(interface, eds, listen_only=listen_only, sends=poll_s is not None, quiet=quiet) as network:
        chosen = _chosen(network, wanted, eds)
        log = LiveLog(network, seconds, look_s=_LOOK_S)
        failure: AdapterError | None = None
        try:
            _run(_Top(network, eds, chosen, poll_s), log, shown, every_s, count)
        except AdapterError as error:
            failure = error
    output.log_notes(log.findings)
    if failure is not None:
        raise failure
    if log.findings:
        sys.exit(EXIT_FINDINGS)


def _wanted(texts: Sequence[str], eds: EdsChoice, may_ask: bool) -> list[tuple[int, str]]:
    """What --signal says: (node-ID, object). A maker may call another object so than CiA does: without the node's own
    dictionary a name says nothing. Raise click.BadParameter.
    """
    wanted: list[tuple[int, str]] = []
    for text in texts:
        node, separator, name = text.partition(":")
        if not separator or not name:
            raise click.BadParameter(f"--signal {text!r}: expected a node and an object, as in 101:6064")
        number = node_id(node)
        if not may_ask and names.number_of(name) is None and eds.by_node.get(number, eds.fallback) is None:
            raise click.BadParameter(
                f"--signal {text!r}: what node {number} calls its objects is not known: give its --eds, an index as in "
                f"{number}:6064, or --poll, which asks the node who it is"
            )
        wanted.append((number, name))
    return wanted


def _chosen(network: Network, wanted: Sequence[tuple[int, str]], eds: EdsChoice) -> dict[int, list[Key]]:
    """The objects by node; who has a name without a file is asked who it is. Raise click.BadParameter, SdoError."""
    chosen: dict[int, list[Key]] = {}
    for number, name in wanted:
        dictionary = eds.by_node.get(number, eds.fallback)
        if names.number_of(name) is None and dictionary is None:
            peer = live.node(network, number, eds)
            peer.identify()
            dictionary = peer.dictionary
            if dictionary is None:
                raise click.BadParameter(
                    f"--signal '{number}:{name}': no file is known for node {number}, and so no names: give its --eds, "
                    f"or an index as in {number}:6064"
                )
            eds.by_node[number] = dictionary
        try:
            index, subindex = names.find(name, dictionary)
        except ObjectNotFound as error:
            raise click.BadParameter(f"--signal '{number}:{name}': {error}") from None
        keys = chosen.setdefault(number, [])
        if (index, subindex or 0) not in keys:
            keys.append((index, subindex or 0))
    return chosen


class _Top:
    """Takes frames and time, gives pictures."""

    def __init__(self, network: Network, eds: EdsChoice, signals: dict[int, list[Key]], poll_s: float | None) -> None:
        self._network = network
        self._began = network.clock.now()
        decoder = eds.decoder()
        self.model = TopModel(decoder, signals, self._began)
        self._facts = Facts(network, decoder)
        self._poller = None if poll_s is None else Poller(network, self.model, signals, poll_s)

    def look(self, now: float) -> None:
        """What is due."""
        if self._poller is not None:
            self._poller.step(now)

    def picture(self, now: float) -> Snapshot:
        """Everything as it is now."""
        nodes = self.model.nodes(now, self._facts.nodes(now))
        return Snapshot(now, now - self._began, self._facts.bus(now), nodes)

    def close(self) -> None:
        self._facts.close()
        if self._poller is not None:
            self._poller.close()


class _Shown(Protocol):
    """Where pictures go."""

    def showing(self) -> ExitStack:
        """While it is entered, pictures may be shown."""

    def show(self, snapshot: Snapshot) -> None: ...

    def look(self) -> bool:
        """False when somebody wants it to end."""


def _run(top: _Top, log: LiveLog, shown: _Shown, every_s: float, count: int | None) -> None:
    clock = log.network.clock
    began = clock.now()
    due, look_at, pictures, drawn_at = began + every_s, began, 0, began
    with shown.showing(), EndOfStream(True) as end:
        try:
            for frame in end.read(log):
                now = clock.now()
                if frame is not None:
                    top.model.feed(frame, now)
                if now >= look_at:
                    look_at = now + _LOOK_S
                    top.look(now)
                    if not shown.look():
                        return
                if now >= due:
                    shown.show(top.picture(now))
                    pictures, drawn_at = pictures + 1, now
                    due = max(due + every_s, now)
                    if pictures == count:
                        return
            if not pictures or clock.now() - drawn_at >= every_s / 2:
                shown.show(top.picture(clock.now()))  # --for ended between two of them
        finally:
            top.close()


class _Json:
    """One object on a line for each."""

    def __init__(self) -> None:
        self._printer = output.Printer(live=True)

    def showing(self) -> ExitStack:
        return ExitStack()

    def show(self, snapshot: Snapshot) -> None:
        self._printer.json(snapshot.to_dict())

    def look(self) -> bool:
        return True


class _Text:
    """Lines, with an empty one between two pictures. Nothing is cut where the output is no terminal."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False)
        self._width = self._console.width if sys.stdout.isatty() else 10_000
        self._first = True

    def showing(self) -> ExitStack:
        return ExitStack()

    def show(self, snapshot: Snapshot) -> None:
        from opendiag.cli.top_screen import lines

        with self._console.capture() as captured:  # printed by rich, a pipe that nobody reads would end us with 1
            if not self._first:
                self._console.print()
            self._first = False
            for line in lines(snapshot, self._width):
                self._console.print(line, soft_wrap=True)
        sys.stdout.write(captured.get())
        sys.stdout.flush()

    def look(self) -> bool:
        return True


class _Screen:
    """The whole terminal, given back as it was. What is said on stderr meanwhile comes afterwards."""

    def __init__(self) -> None:
        from rich.console import Console
        from rich.live import Live

        self._console = Console(highlight=False)
        self._live = Live(
            console=self._console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False
        )
        self._keys = Keys()
        self._scrolled = 0
        self._last: Snapshot | None = None

    def showing(self) -> ExitStack:
        stack = ExitStack()
        stack.enter_context(_said_afterwards())
        stack.enter_context(self._keys)
        stack.enter_context(self._live)
        return stack

    def show(self, snapshot: Snapshot) -> None:
        from opendiag.cli.top_screen import picture

        self._last = snapshot
        width, height = self._console.size
        self._live.update(picture(snapshot, width, height, self._scrolled), refresh=True)

    def look(self) -> bool:
        pressed = self._keys.pressed()
        moves = {"up": -1, "down": 1, "page up": -10, "page down": 10, "home": -10_000}
        for key in pressed:
            self._scrolled = max(self._scrolled + moves.get(key, 0), 0)
        if pressed and self._last is not None:
            self.show(self._last)
        return "q" not in pressed


@contextmanager
def _said_afterwards() -> Iterator[None]:
    said = io.StringIO()
    try:
        with redirect_stderr(said):
            yield
    finally:
        sys.stderr.write(said.getvalue())
