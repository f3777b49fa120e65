"""`opendiag send`: any CAN frames, as they are written."""

from __future__ import annotations

import click

from opendiag.cli import live, output
from opendiag.decode.render import frame_text
from opendiag.logs import parse_line


@click.command(short_help="Send any CAN frame.")
@click.argument("frames", nargs=-1, required=True, metavar="FRAME...")
@live.interface_option
@click.option("--wait", "wait_s", metavar="TIME", callback=live.seconds, help="Show what comes for so long, as in 1s.")
@click.option("--gap", "gap_s", metavar="TIME", callback=live.seconds, help="Time between frames, as in 10ms.")
@click.option("-q", "--quiet", is_flag=True, help="No notes on stderr.")
def command(
    frames: tuple[str, ...], interface: str | None, wait_s: float | None, gap_s: float | None, quiet: bool
) -> None:
    """Send frames as they are. Transmits.

    FRAME is written as cansend and candump write it: 665#4041600000000000, or '665 [8] 40 41 60 00 00 00 00 00'.
    Nothing checks what it does to a machine.
    """
    made = [parse_line(text) for text in frames]
    with live.network(interface, quiet=quiet) as network, network.frames() as stream:
        printer = output.Printer(live=True)
        for place, frame in enumerate(made):
            if place and gap_s:
                network.sleep(gap_s)
            network.send(frame)
        until = network.clock.now() + (wait_s or 0.0)
        shown = 0
        while (seen := stream.get(max(until - network.clock.now(), 0.0))) is not None:
            printer.line(f"{seen.direction or 'rx'}  {frame_text(seen)}")
            shown += 1
            if wait_s is None and shown >= len(made):
                return
