"""What happened in a sequence, as one HTML page with plots, or as JSON."""

from __future__ import annotations

import html
import json
from collections.abc import Iterator
from pathlib import Path

import click

from opendiag.cia402.sequence_timeline import OK, QUANTITIES, StepRecord, Timeline
from opendiag.cli.plot_html import Band, Mark, Trace, plot_html, table

_FORMATS = (".html", ".htm", ".json")
#: More bands than this say nothing any more.
_MOST_BANDS = 500


def check_formats(paths: tuple[str, ...]) -> None:
    """Before anything moves. Raise click.UsageError."""
    for path in paths:
        if Path(path).suffix.lower() not in _FORMATS:
            raise click.UsageError(f"--report {path}: the name must end with .html or .json")
        if not Path(path).absolute().parent.is_dir():
            raise click.UsageError(f"--report {path}: there is no such directory")


def write_report(timeline: Timeline, path: str) -> None:
    """The name decides: .html or .json. Raise OSError."""
    if path.lower().endswith(".json"):
        text = json.dumps(timeline.to_dict(), ensure_ascii=False, indent=1)
    else:
        text = report_html(timeline)
    Path(path).write_text(text + "\n", encoding="utf-8")


def report_html(timeline: Timeline) -> str:
    """One page that loads nothing: how it ended, the plots with the steps, and the steps as a table."""
    sections = [_outcome(timeline), _steps(timeline)]
    return plot_html(timeline.name, list(_traces(timeline)), list(_marks(timeline)), sections, list(_bands(timeline)))


def _traces(timeline: Timeline) -> Iterator[Trace]:
    several = len(timeline.samples) > 1
    for quantity in QUANTITIES:
        for name, samples in timeline.samples.items():
            values = samples.values.get(quantity, [])
            if any(value is not None for value in values):
                title = f"{name} {quantity}" if several else quantity
                yield Trace(title, samples.units[quantity], samples.times, values)


def _bands(timeline: Timeline) -> Iterator[Band]:
    """The steps; of very many those that went well are left out."""
    dense = len(timeline.steps) > _MOST_BANDS
    for step in timeline.steps:
        if not dense or step.outcome != OK:
            ended = step.began if step.ended is None else step.ended
            yield Band(step.began, ended, f"{step.place} {step.text}", step.outcome != OK)


def _marks(timeline: Timeline) -> Iterator[Mark]:
    for step in timeline.steps:
        if step.outcome != OK:
            yield Mark(step.began if step.ended is None else step.ended, f"{step.place} {step.outcome}")


def _outcome(timeline: Timeline) -> str:
    rest = ", ".join(
        f"{name} {'at rest and disabled' if at_rest else 'NOT CONFIRMED TO BE AT REST'}"
        for name, at_rest in timeline.at_rest.items()
    )
    took = "" if timeline.ended is None else f" after {timeline.ended:.3f} s"
    reason = f"<p><strong>{html.escape(timeline.reason)}</strong></p>" if timeline.reason else ""
    missed = sum(samples.missed for samples in timeline.samples.values())
    lost = f" {missed} measurements failed." if missed else ""
    return f"<p>{timeline.outcome}{took}: {html.escape(rest)}.{lost}</p>{reason}"


def _steps(timeline: Timeline) -> str:
    rows = [
        (step.place, step.line or "", step.text, f"{step.began:.3f}", _length(step), step.outcome, step.error)
        for step in timeline.steps
    ]
    return table(("step", "line", "what", "began [s]", "took [s]", "outcome", "error"), rows, "Steps")


def _length(step: StepRecord) -> str:
    return "" if step.ended is None else f"{step.ended - step.began:.3f}"
