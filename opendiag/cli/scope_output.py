"""The recording of a scope as a file: CSV, JSON, Parquet, an HTML page with cursors, PNG and SVG."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import click

from opendiag.cli.plot_html import Mark, Trace, plot_html, plot_svg, table
from opendiag.errors import MissingDependency
from opendiag.master.scope_recording import Recording, Signal, SignalStatistics

HEADINGS = ("signal", "object", "from", "samples", "rate", "longest gap", "least", "greatest", "mean")


def check_targets(files: tuple[Path, ...], force: bool) -> None:
    """Before anything is sent. Raise click.UsageError for a file that cannot be written, MissingDependency."""
    for file in files:
        if file.suffix.lower() not in WRITERS:
            raise click.UsageError(f"-o {file}: its suffix is none of {', '.join(WRITERS)}")
        if file.is_dir() or not file.parent.is_dir():
            raise click.UsageError(f"-o {file}: there is no directory {file.parent}, or it is a directory itself")
        if file.exists() and not force:
            raise click.UsageError(f"-o {file} exists: --force overwrites it")
        if file.suffix.lower() == ".png":
            _matplotlib()
        elif file.suffix.lower() == ".parquet":
            _pyarrow()


def write(recording: Recording, file: Path, title: str) -> None:
    """The suffix says the format. The file appears when it is complete."""
    content = WRITERS[file.suffix.lower()](recording, title)
    part = file.with_name(f"{file.name}.part")
    try:
        part.write_bytes(content)
        part.replace(file)
    finally:
        part.unlink(missing_ok=True)


def statistics_rows(recording: Recording) -> list[tuple[str, ...]]:
    """A line of text cells for each signal, under `HEADINGS`."""
    return [_row(signal, signal.statistics()) for signal in recording.shown]


def _row(signal: Signal, seen: SignalStatistics) -> tuple[str, ...]:
    gaps = f" ({seen.gaps} gap{'s' * (seen.gaps != 1)})" if seen.gaps else ""
    return (
        signal.title,
        signal.object,
        signal.source,
        str(seen.count),
        "" if seen.rate_hz is None else f"{seen.rate_hz:.4g}/s",
        "" if seen.longest_s is None else f"{seen.longest_s * 1000:.3g} ms{gaps}",
        *("" if value is None else f"{value:.7g}" for value in (seen.least, seen.greatest, seen.mean)),
    )


def _csv(recording: Recording, title: str) -> bytes:
    """One line for each time at which there is a sample; empty where a signal has none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["time [s]", *_columns(recording)])
    for time_s, values in recording.rows():
        writer.writerow([f"{time_s:.6f}", *("" if value is None else value for value in values)])
    return text.getvalue().encode()


def _columns(recording: Recording) -> list[str]:
    """With object and unit, as in "Position actual value 6064:00 [counts]"."""
    return [f"{signal.name} {signal.object}{f' [{signal.unit}]' if signal.unit else ''}" for signal in recording.shown]


def _json(recording: Recording, title: str) -> bytes:
    return json.dumps({"title": title, **recording.to_dict()}, ensure_ascii=False).encode() + b"\n"


def _pyarrow() -> object:
    try:
        import pyarrow
    except ImportError:
        raise MissingDependency("a Parquet file", "pyarrow", "columns") from None
    return pyarrow


def _parquet(recording: Recording, title: str) -> bytes:
    """Columns as in the CSV; units, sources and happenings are in the metadata of the schema."""
    _pyarrow()
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = list(recording.rows())
    signals = recording.shown
    arrays = [pa.array([time_s for time_s, _ in rows], pa.float64())]
    arrays += [pa.array([values[place] for _, values in rows], pa.float64()) for place in range(len(signals))]
    fields = [pa.field("time_s", pa.float64(), metadata={"unit": "s"})]
    fields += [
        pa.field(f"{each.name} {each.object}", pa.float64(), metadata={"unit": each.unit, "source": each.source})
        for each in signals
    ]
    known = {name: value for name, value in recording.to_dict().items() if name != "signals"}
    schema = pa.schema(fields, metadata={"opendiag": json.dumps({"title": title, **known})})
    sink = io.BytesIO()
    pq.write_table(pa.Table.from_arrays(arrays, schema=schema), sink, compression="zstd")
    return sink.getvalue()


# --- plots ---


def _traces(recording: Recording) -> list[Trace]:
    return [
        Trace(f"{signal.name} {signal.object}", signal.unit, signal.times_s, signal.values, signal.steps)
        for signal in recording.shown
    ]


def _marks(recording: Recording) -> list[Mark]:
    return [Mark(each.time_s, each.text) for each in recording.happenings]


def _html(recording: Recording, title: str) -> bytes:
    sections = [table(HEADINGS, statistics_rows(recording), "Samples")]
    if recording.happenings:
        rows = [(f"{each.time_s:.6f}", each.text) for each in recording.happenings]
        sections.append(table(("time [s]", "what happened"), rows))
    if recording.notes:
        sections.append(table(("notes",), [(note,) for note in recording.notes]))
    return plot_html(title, _traces(recording), _marks(recording), sections).encode()


def _svg(recording: Recording, title: str) -> bytes:
    return plot_svg(_traces(recording), _marks(recording)).encode()


def _matplotlib() -> None:
    try:
        import matplotlib  # noqa: F401 - only whether it is there
    except ImportError:
        raise MissingDependency("a PNG plot", "matplotlib", "plot") from None


def _png(recording: Recording, title: str) -> bytes:
    _matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    groups: dict[object, list[Signal]] = {}
    for place, signal in enumerate(recording.shown):
        groups.setdefault(signal.unit or place, []).append(signal)
    figure = Figure(figsize=(11, max(2.2 * len(groups), 4)), layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title)
    axes = figure.subplots(len(groups), 1, sharex=True, squeeze=False)[:, 0]
    for axis, signals in zip(axes, groups.values(), strict=True):
        for signal in signals:
            style = "steps-post" if signal.steps else "default"
            axis.plot(signal.times_s, signal.values, drawstyle=style, linewidth=1, label=signal.name)
        axis.set_ylabel(signals[0].unit)
        axis.grid(True, alpha=0.4)
        axis.legend(loc="best", fontsize="small")
        for each in recording.happenings:
            axis.axvline(each.time_s, color="#b00020", linestyle="--", linewidth=0.8)
    axes[-1].set_xlabel("time [s]")
    sink = io.BytesIO()
    figure.savefig(sink, format="png", dpi=110)
    return sink.getvalue()


WRITERS: dict[str, Callable[[Recording, str], bytes]] = {
    ".csv": _csv,
    ".html": _html,
    ".json": _json,
    ".parquet": _parquet,
    ".png": _png,
    ".svg": _svg,
}
