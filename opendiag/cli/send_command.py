"""`opendiag send`: any CAN frames, as they are written."""

from __future__ import annotations

import click

from opendiag.adapters.can_filter import CanFilter
from opendiag.cli import live, output
from opendiag.cli.filters import filter_option
from opendiag.decode.render import frame_text
from opendiag.logs import parse_line


@click.command(short_help="Send any CAN frame.")
@click.argument("frames", nargs=-1, required=True, metavar="FRAME...")
@live.interface_option
@click.option("--wait", "wait_s", metavar="TIME", callback=live.seconds, help="Show what comes for so long, as in 1s.")
@filter_option
@click.option("--gap", "gap_s", metavar="TIME", callback=live.seconds, help="Time between frames, as in 10ms.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def command(
    frames: tuple[str, ...],
    interface: str | None,
    wait_s: float | None,
    frame_filter: CanFilter | None,
    gap_s: float | None,
    quiet: bool,
) -> None:
    """Send frames as they are. Transmits.

    FRAME is written as cansend and candump write it: 665#4041600000000000, or '665 [8] 40 41 60 00 00 00 00 00';
    123#R4 is a remote frame, 123##1AABB CAN FD with bit rate switch, 123#1122334455667788_B has the length code 11.
    Nothing checks what it does to a machine. --filter chooses what of the answers is shown.
    """
    made = [parse_line(text) for text in frames]
    with live.network(interface, unconfirmed=True, quiet=quiet) as network, network.frames() as stream:
        printer = output.Printer(live=True)
        began = network.clock.now()
        for place, frame in enumerate(made):
            if place and gap_s:
                network.sleep(max(began + place * gap_s - network.clock.now(), 0.0))
            network.send(frame)
        until = network.clock.now() + (wait_s or 0.0)
        sent = 0
        while (seen := stream.get(max(until - network.clock.now(), 0.0))) is not None:
            sent += seen.direction == "tx"
            if seen.direction == "tx" or frame_filter is None or frame_filter.matches(seen):
                printer.line(f"{seen.direction or 'rx'}  {frame_text(seen)}")
            if wait_s is None and sent >= len(made):
                return
