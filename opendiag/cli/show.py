"""What `decode` and `watch` print: rows or frames, JSON lines or CSV."""

from __future__ import annotations

from opendiag.cli import export, output
from opendiag.cli.run import Run
from opendiag.decode.records import Record
from opendiag.decode.render import row


def show(run: Run, *, by_frame: bool = False, as_json: bool = False, as_csv: bool = False) -> None:
    """One pass, as rows unless another form is chosen."""
    printer = output.Printer(run.live)
    if by_frame:
        _print_frames(run, printer)
    elif as_json:
        for record in run.records():
            printer.json(record.to_dict())
    elif as_csv:
        export.write_csv(run.records(), run.live)
    else:
        _print_rows(run, printer)


def _print_rows(run: Run, printer: output.Printer) -> None:
    previous: Record | None = None
    with_time = False
    for record in run.records():
        if previous is None:
            with_time = run.zero_ns is not None
            printer.heading(with_time)
        made = row(record, run.zero_ns, run.home)
        if previous is not None and record.frames == previous.frames and record.can_id == previous.can_id:
            made = output.continued(made)
        printer.row(made, with_time)
        previous = record


def _print_frames(run: Run, printer: output.Printer) -> None:
    from opendiag.decode.explain import Explainer
    from opendiag.decode.render import frame_text

    explainer = Explainer(run.decoder)
    for number, frame in enumerate(run.frames(), 1):
        explanation = explainer.explain(frame)
        shown = run.chosen.shows_frame(frame, explanation.connection, explanation.records, run.zero_ns or 0)
        for record in explanation.records:
            run.note(record, shown)
        if not shown:
            continue
        run.shown += 1
        at = "" if frame.time_ns is None else f"{(frame.time_ns - (run.zero_ns or 0)) / 1e9:12.6f}  "
        channel = f"{frame.channel}  " if frame.channel != run.home else ""
        printer.hanging(f"{number:<7} {at}{channel}{frame_text(frame):<36}  ", explanation.sentence)
