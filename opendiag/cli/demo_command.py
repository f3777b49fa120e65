"""`opendiag demo`: the capture that started this project, explained line by line."""

from __future__ import annotations

from pathlib import Path

import click

from opendiag.cli import output
from opendiag.cli.explain_command import print_explanation
from opendiag.decode.decoder import Decoder
from opendiag.decode.explain import Explainer
from opendiag.decode.render import frame_text, row
from opendiag.dictionary.library import load
from opendiag.logs import open_log
from opendiag.resources import bundled_path

_NODE = 101


@click.command(short_help="Explain a real capture of a StepIM motor, line by line.")
def command() -> None:
    """Explain a real capture of a StepIM motor (node 101), line by line. Nothing is sent anywhere."""
    capture = bundled_path("stepim.log")
    frames = list(open_log(capture))
    stepim = load("stepim")
    printer = output.Printer()
    printer.line("What does this candump output of a StepIM motor say?", bold=True)
    explainer = Explainer(Decoder({_NODE: stepim}))
    for frame in frames:
        printer.line("")
        printer.line(f"{frame.channel}  {frame_text(frame)}", bold=True)
        print_explanation(explainer.explain(frame), printer, indent="    ")
    printer.line("")
    printer.line(f"$ opendiag decode {_shown(capture)} --eds {_NODE}=stepim", bold=True)
    printer.heading(with_time=False)
    decoder = Decoder({_NODE: stepim})
    records = [record for frame in frames for record in decoder.feed(frame)] + decoder.finish()
    for record in records:
        printer.row(row(record, home_channel=record.channel), with_time=False)


def _shown(path: Path) -> str:
    """Relative to where the user stands, if it lies below."""
    try:
        return str(path.relative_to(Path.cwd()))
    except ValueError:
        return str(path)
