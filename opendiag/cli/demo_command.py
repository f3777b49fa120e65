"""`opendiag demo`: the capture that started this project, explained line by line."""

from __future__ import annotations

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
    click.secho("What does this candump output of a StepIM motor say?", bold=True)
    explainer = Explainer(Decoder({_NODE: stepim}))
    for frame in frames:
        click.echo()
        click.secho(f"{frame.channel}  {frame_text(frame)}", bold=True)
        print_explanation(explainer.explain(frame), indent="    ")
    click.echo()
    click.secho(f"$ opendiag decode stepim.log --eds {_NODE}=stepim", bold=True)
    output.heading(with_time=False)
    decoder = Decoder({_NODE: stepim})
    records = [record for frame in frames for record in decoder.feed(frame)] + decoder.finish()
    for record in records:
        output.print_row(row(record, home_channel=record.channel), with_time=False)
