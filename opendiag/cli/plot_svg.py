"""Traces over time as an SVG picture: one panel for each unit, marks above, the time below."""

from __future__ import annotations

import html
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

#: Told apart by people who see few colours, too.
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#a06000", "#3a9bd9", "#7a4fa3", "#222222")
WIDTH, LEFT, RIGHT = 1000, 84, 14
#: Height of a panel by the number of panels.
_HEIGHTS = (360, 240, 180, 150, 130, 115, 105, 100)
_GAP, _TIME_AXIS, _MARK_ROW, _MARK_ROWS, _LETTER = 26, 36, 14, 3, 6.2
_BAND_ROW, _BANDS, _BAD_BAND = 17, ("#c3d7ea", "#9fbfdd"), "#e88"
_STEPS = (1, 2, 2.5, 5, 10)


@dataclass(frozen=True, slots=True)
class Trace:
    """Seconds and numbers, in the order of time. ``steps``: a value stays until the next one, as states do."""

    name: str
    unit: str
    times_s: Sequence[float]
    values: Sequence[float | None]
    steps: bool = False


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened, in seconds of the same clock."""

    time_s: float
    text: str


@dataclass(frozen=True, slots=True)
class Band:
    """Something that lasted, in seconds of the same clock; ``bad`` where it failed."""

    from_s: float
    to_s: float
    text: str
    bad: bool = False


@dataclass(frozen=True, slots=True)
class Panel:
    """``traces`` are places in the picture's list; ``top`` and ``height`` are in units of the picture."""

    unit: str
    traces: tuple[int, ...]
    top: float
    height: float


class Picture:
    """Raise ValueError for traces that cannot be drawn. ``start`` and ``end`` are those of all that is drawn."""

    def __init__(self, traces: Sequence[Trace], marks: Sequence[Mark] = (), bands: Sequence[Band] = ()) -> None:
        for trace in traces:
            if len(trace.times_s) != len(trace.values):
                raise ValueError(f"{trace.name}: {len(trace.times_s)} times and {len(trace.values)} values")
            if any(b < a for a, b in zip(trace.times_s, trace.times_s[1:], strict=False)):
                raise ValueError(f"{trace.name}: its times run backwards")
        self.traces, self.marks = tuple(traces), tuple(sorted(marks, key=lambda mark: mark.time_s))
        ends = [time for trace in traces if trace.times_s for time in (trace.times_s[0], trace.times_s[-1])]
        ends += [mark.time_s for mark in marks]
        self.bands = tuple(bands)
        ends += [time for band in bands for time in (band.from_s, band.to_s)]
        self.start, self.end = min(ends, default=0.0), max(ends, default=1.0)
        if self.end <= self.start:
            self.end = self.start + 1.0
        self._bands_top = _MARK_ROW * _MARK_ROWS + 6 if marks else 8
        self._marks_height = self._bands_top + (_BAND_ROW + 4 if bands else 0)
        self.panels = tuple(self._panels())
        last = self.panels[-1] if self.panels else Panel("", (), self._marks_height, 60)
        self.height = last.top + last.height + _TIME_AXIS

    def colour(self, place: int) -> str:
        return COLOURS[place % len(COLOURS)]

    def geometry(self) -> dict[str, object]:
        """For the script that draws it again."""
        return {
            "width": WIDTH,
            "left": LEFT,
            "right": RIGHT,
            "height": self.height,
            "bands": self._bands_top,
            "panels": [
                {"unit": panel.unit, "traces": panel.traces, "top": panel.top, "height": panel.height}
                for panel in self.panels
            ],
        }

    def _panels(self) -> Iterator[Panel]:
        groups: dict[object, list[int]] = {}
        for place, trace in enumerate(self.traces):
            groups.setdefault(trace.unit or place, []).append(place)
        height = _HEIGHTS[min(max(len(groups), 1), len(_HEIGHTS)) - 1]
        top = float(self._marks_height + 16)
        for places in groups.values():
            yield Panel(self.traces[places[0]].unit, tuple(places), top, height)
            top += height + _GAP

    # --- drawing ---

    def svg(self) -> str:
        """The whole picture with everything that was recorded."""
        parts = [
            f'<svg id="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {self.height:g}" '
            f'font-family="sans-serif" font-size="11">',
            f'<rect x="0" y="0" width="{WIDTH}" height="{self.height:g}" fill="#ffffff"/>',
        ]
        for place, panel in enumerate(self.panels):
            parts.append(
                f'<clipPath id="clip{place}"><rect x="{LEFT}" y="{panel.top:g}" width="{WIDTH - LEFT - RIGHT}" '
                f'height="{panel.height:g}"/></clipPath>'
            )
            parts.append(self._legend(panel))
            parts.append(f'<g id="panel{place}">{"".join(self._panel(place, panel))}</g>')
        if self.bands:
            parts.append(f'<g id="bands">{"".join(self._bands())}</g>')
        parts.append(f'<g id="time">{"".join(self._time())}</g><g id="marks">{"".join(self._marks())}</g>')
        parts.append('<g id="cursors"></g></svg>')
        return "\n".join(parts)

    def _legend(self, panel: Panel) -> str:
        x, out = float(LEFT), []
        for place in panel.traces:
            trace = self.traces[place]
            unit = f" [{trace.unit}]" if trace.unit else ""
            out.append(
                f'<text x="{x:g}" y="{panel.top - 5:g}" fill="{self.colour(place)}" font-weight="bold" '
                f'data-trace="{place}">{html.escape(trace.name + unit)}</text>'
            )
            x += (len(trace.name + unit) + 3) * (_LETTER + 0.8)
        return "".join(out)

    def _panel(self, place: int, panel: Panel) -> Iterator[str]:
        low, high = self._range(panel)
        bottom = panel.top + panel.height
        yield f'<rect x="{LEFT}" y="{panel.top:g}" width="{WIDTH - LEFT - RIGHT}" height="{panel.height:g}" {_FRAME}/>'
        for tick in ticks(low, high, max(int(panel.height // 30), 2)):
            y = bottom - (tick - low) / (high - low) * panel.height
            yield f'<line x1="{LEFT}" y1="{y:.1f}" x2="{WIDTH - RIGHT}" y2="{y:.1f}" {_GRID}/>'
            yield f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end" fill="#444">{number(tick)}</text>'
        for tick in ticks(self.start, self.end, 10):
            x = self._x(tick)
            yield f'<line x1="{x:.1f}" y1="{panel.top:g}" x2="{x:.1f}" y2="{bottom:g}" {_GRID}/>'
        for index in panel.traces:
            for points in self._lines(self.traces[index], low, high, panel):
                yield (
                    f'<polyline clip-path="url(#clip{place})" points="{points}" fill="none" '
                    f'stroke="{self.colour(index)}" stroke-width="1.4" stroke-linejoin="round"/>'
                )

    def _x(self, time: float) -> float:
        return LEFT + (time - self.start) / (self.end - self.start) * (WIDTH - LEFT - RIGHT)

    def _range(self, panel: Panel) -> tuple[float, float]:
        """What the panel shows, with a little room; a constant has one unit of it."""
        values = [value for place in panel.traces for value in self.traces[place].values if _is_number(value)]
        low, high = min(values, default=0.0), max(values, default=1.0)  # type: ignore[type-var]
        assert low is not None and high is not None
        room = (high - low) * 0.06 or max(abs(high) * 0.05, 0.5)
        return low - room, high + room

    def _lines(self, trace: Trace, low: float, high: float, panel: Panel) -> Iterator[str]:
        """Polylines; where there are more samples than columns, the least and the greatest of each column."""

        def y(value: float) -> float:
            return panel.top + panel.height - (value - low) / (high - low) * panel.height

        for run in _runs(trace):
            times = trace.times_s[run.start : run.stop]
            values = [value or 0.0 for value in trace.values[run.start : run.stop]]
            points = list(zip((self._x(time) for time in times), map(y, values), strict=True))
            if len(points) > 3 * WIDTH:
                points = _thinned(points)
            elif trace.steps:
                points = [p for a, b in zip(points, [*points[1:], points[-1]], strict=True) for p in (a, (b[0], a[1]))]
            if len(points) == 1:
                points.append((points[0][0] + 0.7, points[0][1]))
            yield " ".join(f"{x:.1f},{height:.1f}" for x, height in points)

    def _time(self) -> Iterator[str]:
        last = self.height - _TIME_AXIS
        for tick in ticks(self.start, self.end, 10):
            at = f'x="{self._x(tick):.1f}" y="{last + 15:g}"'
            yield f'<text {at} text-anchor="middle" fill="#444">{number(tick)}</text>'
        yield f'<text x="{WIDTH - RIGHT}" y="{last + 30:g}" text-anchor="end" fill="#444">time [s]</text>'

    def _bands(self) -> Iterator[str]:
        """A row of boxes with as much of their texts as fits, and a tint of the plot below."""
        bottom, top = self.height - _TIME_AXIS, self._bands_top
        for place, band in enumerate(self.bands):
            x, colour = self._x(band.from_s), _BAD_BAND if band.bad else _BANDS[place % 2]
            width = max(self._x(band.to_s) - x, 0.5)
            letters = int((width - 4) / _LETTER)
            shown = band.text if len(band.text) <= letters else f"{band.text[: letters - 1]}…" if letters > 2 else ""
            at = f'x="{x:.1f}" width="{width:.1f}"'
            tint = 0.25 if band.bad else 0.12
            yield f'<rect {at} y="{top}" height="{bottom - top:g}" fill="{colour}" opacity="{tint}"/>'
            yield f'<rect {at} y="{top}" height="{_BAND_ROW}" fill="{colour}" stroke="#fff" stroke-width="0.5">'
            yield f"<title>{html.escape(band.text)}</title></rect>"
            if shown:
                at = f'x="{x + 2:.1f}" y="{top + 12}" fill="#222"'
                yield f'<text {at} pointer-events="none">{html.escape(shown)}</text>'

    def _marks(self) -> Iterator[str]:
        if not self.marks:
            return
        bottom = self.height - _TIME_AXIS
        ends = [0.0] * _MARK_ROWS
        for mark in self.marks:
            x = self._x(mark.time_s)
            width = len(mark.text) * _LETTER + 8
            text_x = max(min(x + 3, WIDTH - width), 0.0)
            row = next((row for row, end in enumerate(ends) if end <= text_x), None)
            top = 4 + _MARK_ROW * _MARK_ROWS if row is None else 2 + _MARK_ROW * row
            yield (
                f'<line x1="{x:.1f}" y1="{top:g}" x2="{x:.1f}" y2="{bottom:g}" stroke="#b00020" stroke-dasharray="4 3" '
                f'stroke-width="0.9"><title>{html.escape(mark.text)}</title></line>'
            )
            if row is not None:
                ends[row] = text_x + width
                yield f'<text x="{text_x:.1f}" y="{top + 10:g}" fill="#b00020">{html.escape(mark.text)}</text>'


_FRAME = 'fill="#fcfcfc" stroke="#999" stroke-width="0.8"'
_GRID = 'stroke="#dddddd" stroke-width="0.7"'


def _is_number(value: float | None) -> bool:
    return value is not None and math.isfinite(value)


def _runs(trace: Trace) -> Iterator[range]:
    """Places of samples that follow each other without a gap."""
    first: int | None = None
    for place, value in enumerate(trace.values):
        if _is_number(value):
            first = place if first is None else first
        elif first is not None:
            yield range(first, place)
            first = None
    if first is not None:
        yield range(first, len(trace.values))


def _thinned(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of each column of the picture the first, the least, the greatest and the last."""
    xs = [x for x, _ in points]
    kept: list[tuple[float, float]] = []
    column = math.floor(xs[0])
    while column <= xs[-1]:
        inside = points[bisect_left(xs, column) : bisect_right(xs, column + 1)]
        if inside:
            extremes = {0, len(inside) - 1}
            extremes.add(min(range(len(inside)), key=lambda place: inside[place][1]))
            extremes.add(max(range(len(inside)), key=lambda place: inside[place][1]))
            kept += [inside[place] for place in sorted(extremes)]
        column += 1
    return kept


def ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers between two others, at most about so many."""
    span = high - low
    if not (span > 0 and math.isfinite(span)):
        return [low]
    size = 10.0 ** math.floor(math.log10(span / most))
    step = next(size * factor for factor in _STEPS if span / (size * factor) <= most)
    first = math.ceil(low / step - 1e-9)
    return [round(place * step, 12) for place in range(first, math.floor(high / step + 1e-9) + 1)]


def number(value: float, digits: int = 6) -> str:
    """As short as it may be: 1000, 0.25, 1.5e-05, and 0 rather than -0."""
    text = f"{value:.{digits}g}"
    return "0" if text == "-0" else text
