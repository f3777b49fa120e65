"""`opendiag gen`: random traffic, with cangen's options."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from itertools import count as counting
from itertools import islice
from random import Random
from typing import Any

import click

from opendiag.adapters.uri import parse_interface
from opendiag.cli import EXIT_BUS, live, output
from opendiag.cli.end_of_stream import EndOfStream
from opendiag.cli.gen_frames import Recipe, generate
from opendiag.cli.raw import RawLines, channel_name
from opendiag.cli.transmit import Full, Transmitter, confirm, confirm_option, may_move
from opendiag.frame import Frame

#: Fewer have no rate worth saying.
_RATED_FRAMES = 10


def _milliseconds(context: click.Context, parameter: click.Parameter, text: str | None) -> float | None:
    """As cangen has it: a number is milliseconds. Other units may be written."""
    if text is None:
        return None
    try:
        float(text)
    except ValueError:
        return live.seconds(context, parameter, text)
    return live.seconds(context, parameter, f"{text}ms")


@click.command(short_help="Send random CAN frames.")
@live.interface_option
@click.option("-g", "--gap", "gap_s", default="200", show_default=True, callback=_milliseconds, metavar="MS",
              help="Time between frames: 10 is 10 ms; 1s, 500ms and the like work too.")  # fmt: skip
@click.option("-I", "--id", "ids", default="r", metavar="MODE", help="Identifiers: r, e (even), o (odd), i, or hex.")
@click.option("-L", "--length", metavar="MODE", help="Lengths: r, i, or a number of bytes.")
@click.option("-D", "--data", default="r", metavar="MODE", help="Data: r, i, or hex.")
@click.option("-e", "--extended", is_flag=True, help="Extended identifiers, of 29 bits.")
@click.option("-f", "--fd", is_flag=True, help="CAN FD frames.")
@click.option("-b", "--brs", is_flag=True, help="CAN FD frames with bit rate switch.")
@click.option("-E", "--esi", is_flag=True, help="CAN FD frames with error state indicator.")
@click.option("-R", "--remote", is_flag=True, help="Remote frames.")
@click.option("-8", "--raw-dlc", is_flag=True, help="Classic frames with length codes above 8 as well.")
@click.option("-m", "--mix", is_flag=True, help="Standard, extended and remote frames; with -f CAN FD too.")
@click.option("-n", "--count", type=click.IntRange(1), metavar="N", help="End after N frames.")
@click.option("-c", "--burst", type=click.IntRange(1), default=1, metavar="N", help="N frames at once, then the gap.")
@click.option("-p", "--poll", "patience_s", callback=_milliseconds, metavar="MS",
              help="Wait so long for a full transmit queue, then end. Without it a full queue is the end.")  # fmt: skip
@click.option("--ignore-full", is_flag=True, help="Leave out frames for which the queue is full (cangen's -i).")
@click.option("-x", "--no-loopback", is_flag=True, help="SocketCAN: programs on this computer do not see the frames.")
@click.option("-v", "--verbose", is_flag=True, help="Print what is sent, as candump does.")
@click.option("--seed", type=int, metavar="N", help="The same number makes the same frames.")
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="End after this time, as in 10s.")
@confirm_option
@click.option("-q", "--quiet", is_flag=True, help="No summary on stderr.")
def command(interface: str | None, **options: Any) -> None:
    """Send random CAN frames until Ctrl-C. Transmits, and any frame: a machine on that bus may do anything.

    The options are those of cangen. -I, -L and -D take r (random, as without them), i (counting up) or a value:
    hexadecimal digits, x for a random one; for -L a number of bytes. Exit code 3 when frames could not be sent.
    """
    names = ("ids", "length", "data", "extended", "fd", "brs", "esi", "remote", "raw_dlc", "mix")
    recipe = {name: options[name] for name in names}
    recipe["fd"] = options["fd"] or options["brs"] or options["esi"]
    try:
        frames = generate(Recipe(**recipe), Random(options["seed"]))
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
    patience_s = options["patience_s"]
    if options["no_loopback"] and interface is not None:
        interface = _without_loopback(interface)
    with live.network(interface, unconfirmed=True, quiet=options["quiet"]) as network:
        if not options["quiet"] and may_move(network):
            output.note(f"Random frames on {network.name}: whatever is on that bus may do anything.")
        confirm(network, options["yes"])
        sender = Transmitter(network, patience_s or 0.0, options["ignore_full"])
        timed = _timed(frames, options["gap_s"] or 0.0, options["burst"], options["seconds"])
        ended = ""
        lines = RawLines(channel_name(network.name)) if options["verbose"] else None
        try:
            _send(sender, islice(timed, options["count"]), lines)
            sender.finish()
        except Full as full:
            ended = f"Ended because the transmit queue was full: {full}"
        finally:
            if not options["quiet"]:
                _summary(sender)
    sender.report(late=bool(options["gap_s"]))
    if ended:
        output.note(ended)
    if sender.not_sent:
        sys.exit(EXIT_BUS)


def _timed(frames: Iterator[Frame], gap_s: float, burst: int, seconds: float | None) -> Iterator[tuple[float, Frame]]:
    """Each with its time in seconds after the start."""
    for number in counting():
        at_s = number // burst * gap_s
        if seconds is not None and at_s >= seconds:
            return
        yield at_s, next(frames)


def _send(sender: Transmitter, timed: Iterator[tuple[float, Frame]], lines: RawLines | None) -> None:
    printer = output.Printer(live=True)
    sender.start()
    with EndOfStream(True) as end:
        for frame in end.read(sender.paced(timed)):
            if sender.send(frame) and lines is not None:
                printer.line(lines.line(frame))


def _summary(sender: Transmitter) -> None:
    elapsed = sender.elapsed_s
    rate = f", {sender.sent / elapsed:.0f}/s" if elapsed > 0 and sender.sent >= _RATED_FRAMES else ""
    output.note(f"{sender.network.name}: {sender.sent} frame{'s' * (sender.sent != 1)} sent in {elapsed:.2f} s{rate}.")


def _without_loopback(interface: str) -> str:
    parsed = parse_interface(interface)
    if parsed.adapter != "socketcan":
        return interface
    return f"{interface}{'&' if parsed.options else '?'}local_loopback=no"
