"""`opendiag explain`: frames byte by byte."""

from __future__ import annotations

import sys
from collections.abc import Iterator

import click

from opendiag.cli import output
from opendiag.cli.options import EdsChoice, eds_options
from opendiag.decode.explain import Explainer, Explanation
from opendiag.decode.render import frame_text
from opendiag.errors import OpenDiagError
from opendiag.frame import Frame


@click.command(short_help="Explain single frames byte by byte.")
@click.argument("frames", nargs=-1, metavar="FRAME...")
@eds_options
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each frame.")
def command(frames: tuple[str, ...], eds: EdsChoice, as_json: bool) -> None:
    """Explain single frames byte by byte.

    FRAME is a line as candump prints it, in quotes, or ID#DATA: '665 [8] 40 6C 60 00 00 00 00 00',
    665#406C600000000000. With - frames are read from standard input. Earlier frames are context for later ones.
    """
    explainer = Explainer(eds.decoder())
    several = len(frames) != 1 or frames[0] == "-"
    printer = output.Printer(live=several)
    for place, frame in enumerate(_frames(frames)):
        explanation = explainer.explain(frame)
        if as_json:
            lines = [{"bytes": line.part, "meaning": line.meaning} for line in explanation.lines]
            printer.json({"frame": frame_text(frame), "lines": lines, "sentence": explanation.sentence})
            continue
        if several:
            if place:
                printer.line("")
            printer.line(frame_text(frame), bold=True)
        print_explanation(explanation, printer)


def print_explanation(explanation: Explanation, printer: output.Printer, indent: str = "") -> None:
    """Bytes to the left, meaning to the right, the sentence below."""
    width = max(len(line.part) for line in explanation.lines)
    for line in explanation.lines:
        printer.hanging(f"{indent}{line.part.ljust(width)}  ", line.meaning)
    printer.hanging(indent, explanation.sentence, bold=True)


def _frames(given: tuple[str, ...]) -> Iterator[Frame]:
    from opendiag.logs import open_log, parse_line

    if not given and sys.stdin.isatty():
        raise click.UsageError("give a FRAME, as in 665#406C600000000000, or - for standard input")
    if not given or given == ("-",):
        log = open_log(sys.stdin.buffer)
        yield from log
        output.log_notes(log.findings)
        return
    for text in given:
        try:
            yield parse_line(text)
        except OpenDiagError as error:
            raise click.UsageError(str(error)) from None
