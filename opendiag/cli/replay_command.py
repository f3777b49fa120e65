"""`opendiag replay`: the frames of a capture on a bus, at the times they have there."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import click

from opendiag.cli import EXIT_BUS, EXIT_INTERRUPTED, live, output
from opendiag.cli.end_of_stream import EndOfStream
from opendiag.cli.filters import filter_option
from opendiag.cli.options import source
from opendiag.cli.progress import counted
from opendiag.cli.raw import RawLines, channel_name
from opendiag.cli.replay import Choice, Identifier, NoTimes, Pass
from opendiag.cli.transmit import Full, Transmitter, confirm, confirm_option
from opendiag.findings import Finding
from opendiag.frame import MAX_EXTENDED_ID, MAX_STANDARD_ID, Frame
from opendiag.logs import open_log

#: Captures beyond this are not read beforehand to say how many frames they have.
_LOOK_BYTES = 50_000_000
_MAP = re.compile(r"(?:0x)?([0-9a-f]{1,8})=(?:0x)?([0-9a-f]{1,8})", re.IGNORECASE | re.ASCII)


def _ids(context: click.Context, parameter: click.Parameter, texts: tuple[str, ...]) -> dict[Identifier, Identifier]:
    made = {}
    for text in texts:
        found = _MAP.fullmatch(text)
        if found is None:
            raise click.BadParameter(f"{text!r} is no pair of identifiers: expected OLD=NEW, as in 185=186")
        old, new = ((len(digits) == 8, int(digits, 16)) for digits in found.groups())
        for extended, number in (old, new):
            if number > (MAX_EXTENDED_ID if extended else MAX_STANDARD_ID):
                raise click.BadParameter(f"{text!r}: expected 3 digits up to 7FF, or 8 up to 1FFFFFFF")
        made[old] = new
    return made


@click.command(short_help="Send the frames of a capture, with its timing.")
@click.argument("file", required=False, metavar="[FILE|-]")
@live.interface_option
@filter_option
@click.option("--only-channel", metavar="NAME", help="Only frames of this channel of the capture, as in can1.")
@click.option("--map", "ids", multiple=True, callback=_ids, metavar="OLD=NEW", help="Another identifier, as 185=186.")
@click.option("--speed", type=click.FloatRange(0.001, 1000), default=1.0, metavar="X", help="X times as fast.")
@click.option("--gap", "gap_s", metavar="TIME", callback=live.seconds, help="So far apart, whatever the capture says.")
@click.option("--max-gap", "max_gap_s", metavar="TIME", callback=live.seconds, help="Shorten longer silences to this.")
@click.option("--loop", type=click.IntRange(0), default=1, metavar="N", help="N times; 0: until Ctrl-C.")
@click.option("--time", type=click.Choice(["a", "z", "d"]), help="The capture was made with candump -t a, z or d.")
@click.option(
    "--wait",
    "patience_s",
    metavar="TIME",
    callback=live.seconds,
    default="1s",
    show_default=True,
    help="How long a full transmit queue is waited for, before it ends the replay.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be sent, and send nothing.")
@click.option("-v", "--verbose", is_flag=True, help="Print what is sent, as candump does.")
@confirm_option
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def command(file: str | None, interface: str | None, **options: Any) -> None:
    """Send the frames of a capture on a bus, at the times that they have there. Transmits.

    FILE is whatever `opendiag decode` reads. All its channels go to the one bus. Error frames are left out, and lines
    that are no frames. What is going to be sent is said first. Exit code 3 when frames could not be sent.
    """
    given, name = source(file)
    if options["loop"] != 1 and not isinstance(given, str):
        raise click.UsageError("standard input can be read once only: --loop needs a file")
    choice = Choice(
        frames=options["frame_filter"],
        channel=options["only_channel"],
        ids=options["ids"],
        speed=options["speed"],
        gap_s=options["gap_s"],
        max_gap_s=options["max_gap_s"],
    )
    replay = _Replay(choice, given, name, options["time"], options["loop"])
    replay.look(options["quiet"], anyway=options["dry_run"])
    if options["dry_run"]:
        return
    with live.network(interface, unconfirmed=True, quiet=options["quiet"]) as network:
        confirm(network, options["yes"])
        sender = Transmitter(network, options["patience_s"])
        lines = RawLines(channel_name(network.name)) if options["verbose"] else None
        try:
            replay.run(sender, lines)
        finally:
            replay.finish(sender, options["quiet"])
    if sender.not_sent:
        sys.exit(EXIT_BUS)
    if replay.interrupted and options["loop"]:
        sys.exit(EXIT_INTERRUPTED)


class _Replay:
    """A capture that is sent ``times`` times; 0: until Ctrl-C."""

    def __init__(self, choice: Choice, given: str | IO[bytes], name: str, time: str | None, times: int) -> None:
        self.interrupted = False
        self._choice = choice
        self._given = given
        self._name = name
        self._time = time
        self._times = times
        self._total: int | None = None
        self._ended = ""
        self._errors = 0
        self._findings: list[Finding] = []

    def look(self, quiet: bool, anyway: bool = False) -> None:
        """Say what is going to be sent. Raise click.UsageError when it is nothing, or nobody knows when.

        ``anyway``: also of what is long, or can be read once only.
        """
        if not anyway and not self._can_be_read_twice():
            return
        seen = Pass(self._choice)
        for _ in self._frames(seen):
            pass
        if not seen.frames:
            raise click.UsageError(f"{self._name}: there is nothing to send: no frame passes")
        if not self._times and not seen.seconds and self._choice.gap_s is None:
            raise click.UsageError(f"{self._name}: once through takes no time: --gap 10ms says how fast --loop 0 goes")
        self._total = seen.frames * self._times or None
        if quiet:
            return
        often = {0: "until Ctrl-C, ", 1: ""}.get(self._times, f"{self._times} times ")
        ids = f"{len(seen.identifiers)} identifier{'s' * (len(seen.identifiers) != 1)}"
        output.note(f"{self._name}: {often}{_counted(seen.frames)} of {ids} in {seen.seconds:.3f} s{_from(seen)}.")

    def _can_be_read_twice(self) -> bool:
        """What is not there is for the reader to say."""
        if not isinstance(self._given, str):
            return False
        path = Path(self._given)
        return not path.exists() or (path.is_file() and path.stat().st_size <= _LOOK_BYTES)

    def run(self, sender: Transmitter, lines: RawLines | None) -> None:
        """Send it. Raise AdapterClosed."""
        printer = output.Printer(live=True)
        sender.start()
        with EndOfStream(True) as end, counted("sent", self._total or 0, rows=lines is not None) as advance:
            try:
                for frame in end.read(sender.paced(self._timed())):
                    if sender.send(frame) and lines is not None:
                        printer.line(lines.line(frame))
                    advance()
            except Full as full:
                self._ended = f"Ended because the transmit queue stayed full: {full}"
            self.interrupted = end.asked
        sender.finish()

    def finish(self, sender: Transmitter, quiet: bool) -> None:
        """Say what was sent and what was not."""
        output.log_notes(self._findings)
        if not quiet:
            of = "" if self._total is None else f" of {self._total}"
            left = f"; {_counted(self._errors, 'error ')} left out" if self._errors else ""
            output.note(f"{sender.network.name}: {sender.sent}{of} sent in {sender.elapsed_s:.3f} s{left}.")
        sender.report(late=self._choice.gap_s != 0)
        if self._ended:
            output.note(self._ended)

    def _timed(self) -> Iterator[tuple[float, Frame]]:
        """One pass after the other."""
        done, began_s = 0, 0.0
        while not self._times or done < self._times:
            seen = Pass(self._choice)
            for at_s, frame in self._frames(seen):
                yield began_s + at_s, frame
            began_s += seen.seconds + (self._choice.gap_s or 0.0)
            self._errors += seen.errors
            done += 1

    def _frames(self, seen: Pass) -> Iterator[tuple[float, Frame]]:
        with open_log(self._given, time=self._time) as log:
            try:
                yield from seen.timed(log)
            except NoTimes:
                raise click.UsageError(
                    f"{self._name} does not say when its frames came: --gap 10ms sends them that far apart"
                ) from None
            self._findings = log.findings


def _counted(number: int, kind: str = "") -> str:
    return f"{number} {kind}frame{'s' * (number != 1)}"


def _from(seen: Pass) -> str:
    """Where they come from, and what is left out."""
    parts = []
    if len(seen.channels) > 1:
        parts.append(f" of the channels {', '.join(seen.channels)}, all to one bus (--only-channel takes one)")
    if seen.errors:
        parts.append(f"; {_counted(seen.errors, 'error ')} left out")
    return "".join(parts)
