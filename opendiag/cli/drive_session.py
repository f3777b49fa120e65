"""A verb that energises: checked, asked about, carried out as a small sequence with the keys watched, and told."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import click

from opendiag.cia402.sequence import Amount, AxisSpec, Step
from opendiag.cia402.sequence import Sequence as DriveSequence
from opendiag.cia402.sequence_timeline import FAILED, QUANTITIES, StepRecord, Timeline
from opendiag.cia402.units import Units
from opendiag.cli import EXIT_BUS, EXIT_FINDINGS, EXIT_INTERRUPTED, EXIT_SDO, live, output
from opendiag.cli.drive_arguments import ask, check_can_ask, limits_of
from opendiag.cli.drive_console import Console
from opendiag.cli.drive_words import assumed_units, command_line_words, prospect, tell_silence
from opendiag.cli.options import EdsChoice
from opendiag.cli.sequence_report import check_formats, write_report
from opendiag.errors import AdapterError, DriveError, OpenDiagError, SdoError, SequenceError
from opendiag.master.drive_sequence import SequenceRunner

if TYPE_CHECKING:
    from opendiag.master.drive import Drive
    from opendiag.master.network import Network

#: A drive that is held enabled until somebody stops that.
FOR_EVER_S = 1e9


def amount_of(text: str | None) -> Amount | None:
    """From an option's text."""
    if text is None:
        return None
    value, unit = Units.parse(text)
    return Amount(value, unit or None, 0)


def step(action: str, axis: str, value: Amount | None = None, **more: Any) -> Step:
    """One step for one axis; ``more`` may hold amounts, and ``seconds``."""
    seconds = {name: each for name, each in more.pop("seconds", {}).items() if each is not None}
    options = {name: {axis: each} for name, each in more.items() if each is not None}
    return Step("1", 0, action, (axis,), {axis: value}, options, seconds)


def verb_sequence(
    verb: str, node_id: int, steps: Callable[[str], Sequence[Step]], given: dict[str, Any]
) -> DriveSequence:
    """Enable, do it, disable. Takes axis, units and limits out of ``given``."""
    axis, units = given.pop("axis"), given.pop("units")
    name = f"node {node_id}" + (f" axis {axis}" if axis else "")
    spec = AxisSpec(name, 0, node_id, axis, None if units is None else Path(units), limits_of(given))
    numbered = (replace(each, number=str(place)) for place, each in enumerate(steps(name), start=1))
    return DriveSequence(f"{verb} {name}", verb, {name: spec}, tuple(numbered))


def perform(
    verb: str,
    sequence: DriveSequence,
    what: str | None,
    *,
    interface: str | None,
    eds: EdsChoice,
    answer_s: float,
    as_json: bool,
    quiet: bool,
    yes: bool,
    dry_run: bool,
    reports: tuple[str, ...],
    stopping_is_ok: bool = False,
    show_steps: bool = False,
) -> None:
    """Carry it out; ``what`` completes the question, None: its one motion does. Exits with the code of the house."""
    check_formats(reports)
    if not dry_run:
        check_can_ask(yes, verb)
    printer = output.Printer(live=True)
    failure: OpenDiagError | None = None
    with live.network(interface, eds, timeout_s=answer_s, quiet=quiet) as network, ExitStack() as stack:
        for spec in sequence.axes.values():
            live.node(network, spec.node_id, eds)
        target = stack.enter_context(_rehearsal(network, sequence, as_json)) if dry_run else network
        teller = stack.enter_context(_Teller(printer, show_steps and not (as_json or dry_run)))
        runner = SequenceRunner(target, sequence, teller.tell, measure=not dry_run)
        try:
            runner.check()
        except SequenceError as error:
            raise click.UsageError("\n".join(plain(error))) from None
        if not dry_run:
            for text in () if quiet else assumed_units(sequence, runner.drives):
                output.note(text)
            ask(network, tuple(runner.drives.values()), prospect(sequence, runner.drives, what), yes, quiet)
        interrupted, failure = _run(runner)
        _explain(runner, failure)
        ends = _ends(runner)
    timeline = runner.timeline
    if not _in_file(sequence):
        timeline.reason = command_line_words(timeline.reason)
    _report(timeline, reports, quiet)
    if as_json:
        printer.json({**_summary(timeline), "dry_run": dry_run, "axes": ends})
    elif dry_run:
        _tell_rehearsal(timeline)
    else:
        _tell(timeline, ends, printer, interrupted)
    sys.exit(_code(timeline, bool(interrupted) and not stopping_is_ok, failure))


@contextmanager
def _rehearsal(network: Network, sequence: DriveSequence, as_json: bool) -> Iterator[Network]:
    """JSON is alone on stdout: the frames are notes then."""
    from opendiag.master.dry_run import DryRun

    nodes = tuple(dict.fromkeys(spec.node_id for spec in sequence.axes.values()))
    rehearsal = DryRun(network, nodes, output.note if as_json else click.echo)
    try:
        yield rehearsal.network
    finally:
        rehearsal.close()


def plain(error: SequenceError) -> list[str]:
    """A verb has no lines; a file has."""
    if any(line for line, _ in error.problems):
        return list(error.lines)
    return [command_line_words(text.removeprefix(f"{error.file}: ")) for _, text in error.problems]


def _in_file(sequence: DriveSequence) -> bool:
    return any(each.line for each in sequence.all_steps())


def ended_by(interruption: KeyboardInterrupt) -> str:
    """As in "Ended by SIGTERM."; somebody's hand is behind every other one."""
    name = str(interruption)
    return f"Ended by {name}." if name.startswith("SIG") else "Stopped by hand."


def _run(runner: SequenceRunner) -> tuple[str, OpenDiagError | None]:
    """How it was interrupted ("": not at all), and what ended it besides a failed step."""
    console = Console(lambda: bottom_line(runner.drives, runner.timeline))
    for drive in runner.drives.values():
        drive.network.begin(tell_silence(drive.link, lambda: runner.timeline.over))
    try:
        with console:
            runner.run()
    except KeyboardInterrupt as interruption:
        return ended_by(interruption), None
    except OpenDiagError as error:
        return "", error
    return "", runner.timeline.error


def _explain(runner: SequenceRunner, error: OpenDiagError | None) -> None:
    """Have the drive say what is behind its failure; the reason then tells that, too."""
    from opendiag.diagnose.drive_why import explain

    timeline = runner.timeline
    drive = next((each for each in runner.drives.values() if each.node_id == getattr(error, "node_id", None)), None)
    if drive is None or not isinstance(error, DriveError) or error.why:
        return
    told = str(error)
    drive.network.run(explain(drive.link, error, drive.network.watch))
    timeline.reason = timeline.reason.replace(told, str(error))


def bottom_line(drives: Mapping[str, Drive], timeline: Timeline) -> str:
    """State and measurements of all drives, as far as they are known."""
    parts = []
    for name, drive in drives.items():
        state = drive.link.state
        parts.append(f"{name} {'not asked yet' if state is None else state.value}")
        samples = timeline.samples.get(name)
        for quantity in QUANTITIES if samples is not None else ():
            value = samples.latest(quantity) if samples is not None else None
            if value is not None and samples is not None:
                parts.append(f"{value:.6g} {samples.units[quantity]}")
    return "  ".join(parts)


# --- telling --------------------------------------------------------------------------------------------------------


class _Teller:
    """Prints steps that are over, in a thread of its own: a reader of our output that is slow must hold up no plan.

    It stands in the way of nothing that brings drives to rest either; what it could not print by then comes after.
    """

    def __init__(self, printer: output.Printer, shown: bool) -> None:
        self._printer = printer
        self._shown = shown
        self._steps: SimpleQueue[StepRecord | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name="opendiag steps", daemon=True)

    def __enter__(self) -> _Teller:
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._steps.put(None)
        self._thread.join()

    def tell(self, record: StepRecord) -> None:
        """Called with the pump's lock held."""
        if self._shown and record.ended is not None:
            self._steps.put(record)

    def _serve(self) -> None:
        while (record := self._steps.get()) is not None:
            took = f"{(record.ended or 0.0) - record.began:8.3f} s"
            head = f"{record.began:9.3f}  {took}  {record.place:<12}  {record.outcome:<7}  "
            text = record.text + (f": {record.error}" if record.error else "")
            if sys.stderr.isatty() and sys.stdout.isatty():
                sys.stdout.write("\r\x1b[2K")
            self._printer.hanging(head, text, **({"fg": "red"} if record.outcome == FAILED else {}))


def _ends(runner: SequenceRunner) -> dict[str, dict[str, Any]]:
    """Where each drive ended up. A drive that cannot be asked any more has no values."""
    found = {}
    for name, drive in runner.drives.items():
        end: dict[str, Any] = {
            "node": drive.node_id,
            "axis": drive.link.axis,
            "at_rest": runner.timeline.at_rest.get(name),
            "state": None,
        }
        try:
            network = drive.network
            network.run(drive.link.status())
            end["state"] = None if drive.link.state is None else drive.link.state.name
            units = network.run(drive.plans.units())
            end["position"] = network.run(drive.plans.read("position"))
            end["unit"] = units.default("position")
        except OpenDiagError:
            pass
        found[name] = end
    return found


def _tell(timeline: Timeline, ends: dict[str, dict[str, Any]], printer: output.Printer, interrupted: str) -> None:
    for name, end in ends.items():
        where = f"at {end['position']:.6g} {end['unit']}, " if "position" in end else ""
        state = (end["state"] or "state unknown").replace("_", " ")
        rest = "at rest" if end["at_rest"] else "NOT CONFIRMED TO BE AT REST: use the emergency stop"
        style = {} if end["at_rest"] else {"fg": "red"}
        took = f" ({timeline.ended:.1f} s in all)" if timeline.ended is not None else ""
        printer.line(f"{name}: {where}{state}, {rest}{took}", **style)
    if interrupted:
        output.note(interrupted)
    elif timeline.reason:
        output.note(timeline.reason)
    for step_ in timeline.failures:
        if not timeline.reason:
            output.note(f"step {step_.place}: {step_.error}")


def _tell_rehearsal(timeline: Timeline) -> None:
    output.note(f"{timeline.reason}\n" * bool(timeline.reason) + "This was a dry run: none of these frames was sent.")


def _summary(timeline: Timeline) -> dict[str, Any]:
    made = timeline.to_dict()
    del made["axes"]
    return made


def _report(timeline: Timeline, reports: tuple[str, ...], quiet: bool) -> None:
    for path in reports:
        write_report(timeline, path)
        if not quiet:
            output.note(f"Report: {path}")


def _code(timeline: Timeline, interrupted: bool, failure: OpenDiagError | None) -> int:
    if failure is not None and failure is not timeline.error:
        output.note(str(failure))
    if isinstance(failure, AdapterError):
        return EXIT_BUS
    if failure is not None or not all(timeline.at_rest.values()):
        return EXIT_SDO if isinstance(failure, SdoError) else EXIT_FINDINGS
    if interrupted:
        return EXIT_INTERRUPTED
    return EXIT_FINDINGS if timeline.failures else 0
