"""A plot as one HTML file: values over time, marks, two cursors and zoom. It loads nothing and needs no network.

The first view is an SVG that needs no script either, so that it can be printed and put into mails.

    page = plot_html("Move", [Trace("Position", "rev", times, values)], [Mark(0.2, "enabled")], [table(heads, rows)])
"""

from __future__ import annotations

import html
import json
import math
from collections.abc import Iterable, Sequence

from opendiag.cli.plot_script import SCRIPT, STYLE
from opendiag.cli.plot_svg import Band, Mark, Picture, Trace, number

__all__ = ["Band", "Mark", "Trace", "plot_html", "plot_svg", "table"]

_USE = (
    "Click: cursor A. Shift and click: cursor B. Drag a cursor to move it. Drag elsewhere: zoom into that time. "
    "Wheel: zoom about the pointer. Left and right: move along. Double click or 0: show everything. "
    "A value is that of the last sample before the cursor."
)


def plot_html(
    title: str,
    traces: Sequence[Trace],
    marks: Sequence[Mark] = (),
    sections: Sequence[str] = (),
    bands: Sequence[Band] = (),
) -> str:
    """The whole page. Traces of the same unit share a scale; those without a unit have one each.

    ``title`` and the texts of traces, marks and bands are plain text. ``sections`` are HTML, put below the plot one
    after the other: see `table`. Values that are None or not finite leave a gap. Raise ValueError for traces whose
    times and values differ in number, and for times that run backwards.
    """
    picture = Picture(traces, marks, bands)
    body = "\n".join(f"<section>{section}</section>" for section in sections)
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{STYLE}</style>\n</head>\n<body>\n'
        f"<h1>{html.escape(title)}</h1>\n{picture.svg()}\n"
        f'<table id="values"></table>\n<p class="use">{_USE}</p>\n'
        f"<noscript><p>Cursors and zoom need JavaScript.</p></noscript>\n{body}\n"
        f'<script type="application/json" id="data">{_data(picture)}</script>\n<script>{SCRIPT}</script>\n'
        "</body>\n</html>\n"
    )


def plot_svg(traces: Sequence[Trace], marks: Sequence[Mark] = ()) -> str:
    """The plot alone, without cursors: an SVG picture. Raise ValueError as `plot_html`."""
    return Picture(traces, marks).svg()


def table(heads: Sequence[str], rows: Iterable[Sequence[object]], caption: str = "") -> str:
    """An HTML table for ``sections``, from plain text."""
    top = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    head = "".join(f"<th>{html.escape(str(each))}</th>" for each in heads)
    body = "".join(
        "<tr>" + "".join(f"<td>{html.escape('' if cell is None else str(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table>{top}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _data(picture: Picture) -> str:
    """What the script needs, as JSON that may stand inside of a page."""
    data = {
        "geometry": picture.geometry(),
        "from": picture.start,
        "to": picture.end,
        "traces": [
            {
                "name": trace.name,
                "unit": trace.unit,
                "colour": picture.colour(place),
                "steps": trace.steps,
                "t": [round(time, 7) for time in trace.times_s],
                "v": [_plain(value) for value in trace.values],
            }
            for place, trace in enumerate(picture.traces)
        ],
        "marks": [{"t": mark.time_s, "text": mark.text} for mark in picture.marks],
        "bands": [{"a": band.from_s, "b": band.to_s, "text": band.text, "bad": band.bad} for band in picture.bands],
    }
    return json.dumps(data, separators=(",", ":"), ensure_ascii=True).replace("<", "\\u003c")


def _plain(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    return value if isinstance(value, int) else float(number(value, 9))
