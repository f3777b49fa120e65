"""`opendiag demo`: the capture that started this project explained, its objects read from a simulated motor, and that
motor moved.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from opendiag.cli import output
from opendiag.cli.explain_command import print_explanation
from opendiag.decode.decoder import Decoder
from opendiag.decode.explain import Explainer
from opendiag.decode.records import Record
from opendiag.decode.render import frame_text, row
from opendiag.dictionary.library import load
from opendiag.errors import ValueRefused
from opendiag.frame import Frame
from opendiag.logs import open_log
from opendiag.resources import bundled_path

if TYPE_CHECKING:
    from opendiag.master.streams import FrameStream

_NODE = 101
#: The simulated motor is up by then.
_BOOT_S = 0.5


_TURN = """\
name: Two and a half turns
node: 101
limits: {position: -1 rev .. 5 rev, velocity: 600 rpm}
steps:
  - enable
  - home: 35
  - move: 2.5 rev
    velocity: 300 rpm
  - expect: {position: 2.5 rev, tolerance: 0.01 rev}
  - disable
"""


@click.command(short_help="Explain a capture of a StepIM motor, then talk to a simulated one.")
@click.option("--plot", type=click.Path(dir_okay=False), metavar="FILE", help="Where the plot goes; else a new file.")
def command(plot: str | None) -> None:
    """Explain a real capture of a StepIM motor (node 101), then read, write and move a simulated one.

    The simulated motor is part of this program: nothing is sent anywhere else.
    """
    printer = output.Printer()
    read = _explain_capture(printer)
    _talk(printer, read)
    _move(printer, plot)
    printer.line("")
    printer.line(
        "Try it: opendiag read 101 Statusword, opendiag drive move 101 2.5rev, opendiag doctor 101, opendiag watch"
    )


def _explain_capture(printer: output.Printer) -> list[Record]:
    """What the capture says, frame by frame and then as records, which are returned."""
    capture = bundled_path("stepim.log")
    frames = list(open_log(capture))
    stepim = load("stepim")
    printer.line("What does this candump output of a StepIM motor say?", bold=True)
    explainer = Explainer(Decoder({_NODE: stepim}))
    for frame in frames:
        printer.line("")
        printer.line(f"{frame.channel}  {frame_text(frame)}", bold=True)
        print_explanation(explainer.explain(frame), printer, indent="    ")
    printer.line("")
    printer.line(f"$ opendiag decode {_shown(capture)} --eds {_NODE}=stepim", bold=True)
    decoder = Decoder({_NODE: stepim})
    records = [record for frame in frames for record in decoder.feed(frame)] + decoder.finish()
    _print_records(records, printer)
    return records


def _talk(printer: output.Printer, captured: list[Record]) -> None:
    """The same objects live: from a simulated StepIM on a bus that exists in memory only."""
    from opendiag.master.clock import ManualClock
    from opendiag.master.connect import connect

    printer.line("")
    printer.line("The same objects, read live from a simulated StepIM:", bold=True)
    with connect("sim:stepim", dictionaries={_NODE: "stepim"}, clock=ManualClock()) as network:
        motor = network[_NODE]
        network.sleep(_BOOT_S)
        keys = dict.fromkeys((record.index, record.subindex) for record in captured if record.service == "sdo.read")
        with network.frames() as stream:
            for index, subindex in keys:
                motor.upload(index or 0, subindex or 0)
            motor.variable("Profile Velocity").write(5000)
            motor.variable("Profile Velocity").read()
            seen = _taken(stream)
        decoder = network.decoder()
        records = [record for frame in seen for record in decoder.feed(frame)] + decoder.finish()
        _print_records(records, printer)
        printer.line("")
        printer.line("And what the dictionary does not allow is not sent:", bold=True)
        try:
            motor.variable("Modes of Operation").write(9)
        except ValueRefused as refused:
            printer.line(f"    {refused}.")


def _move(printer: output.Printer, plot: str | None) -> None:
    """Enable, home, move, disable: a sequence as `opendiag drive run` takes it, and its report."""
    from opendiag.cia402.sequence import parse_sequence
    from opendiag.cli.sequence_report import report_html
    from opendiag.master.clock import ManualClock
    from opendiag.master.connect import connect
    from opendiag.master.drive_sequence import run_sequence

    printer.line("")
    printer.line("And the simulated StepIM moves, as this sequence says:", bold=True)
    for line in _TURN.splitlines():
        printer.line(f"    {line}")
    printer.line("")
    with connect("sim:stepim", dictionaries={_NODE: "stepim"}, clock=ManualClock()) as network:
        network.sleep(_BOOT_S)
        timeline = run_sequence(network, parse_sequence(_TURN, "demo"))
    for step in timeline.steps:
        printer.line(f"    {step.began:7.3f} s  {step.text:<38}  {step.outcome}")
    path = Path(plot or _new_file())
    path.write_text(report_html(timeline), encoding="utf-8")
    printer.line("")
    printer.line(f"Position, velocity and current over time: {path}")


def _new_file() -> str:
    import os
    import tempfile

    descriptor, path = tempfile.mkstemp(".html", "opendiag-demo-")
    os.close(descriptor)
    return path


def _taken(stream: FrameStream) -> list[Frame]:
    """Everything so far, both directions."""
    frames = []
    while (frame := stream.get(0)) is not None:
        frames.append(frame)
    return frames


def _print_records(records: list[Record], printer: output.Printer) -> None:
    printer.heading(with_time=False)
    for record in records:
        printer.row(row(record, home_channel=record.channel), with_time=False)


def _shown(path: Path) -> str:
    """Relative to where the user stands, if it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
