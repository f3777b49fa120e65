"""`opendiag drive status` and `drive why`: how a drive is, and what keeps it from more. Nothing is written."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import click

from opendiag.cia402.modes import mode_label
from opendiag.cia402.path import Target
from opendiag.cli import EXIT_FINDINGS, live, output
from opendiag.cli.drive_arguments import drive_name, drive_options
from opendiag.cli.options import EdsChoice, node_id
from opendiag.errors import SdoAborted
from opendiag.findings import Severity

if TYPE_CHECKING:
    from opendiag.master.drive import Drive
    from opendiag.master.drive_plans import DriveStatus
    from opendiag.master.network import Network

_QUANTITIES = ("position", "velocity", "current")
_WARNING = 1 << 7
_EVERY_S = 0.5
#: What `why` can be asked about, by the words of the command line.
_WANTED: dict[str, Target | str] = {
    "enabled": Target.OPERATION_ENABLED,
    "motion": "motion",
    "ready": Target.READY_TO_SWITCH_ON,
    "switched-on": Target.SWITCHED_ON,
}


@click.command(short_help="Show state, mode, errors, position, velocity and current.")
@click.argument("node", metavar="NODE")
@click.option("--watch", is_flag=True, help="Go on showing it, until Ctrl-C.")
@click.option("--every", "every_s", metavar="TIME", callback=live.seconds, help="With --watch: usually 500ms.")
@click.option("--for", "seconds", metavar="TIME", callback=live.seconds, help="With --watch: end after this time.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="With --watch: end after N times.")
@drive_options
def status(
    node: str,
    watch: bool,
    every_s: float | None,
    seconds: float | None,
    count: int | None,
    interface: str | None,
    eds: EdsChoice,
    axis: int,
    units: str | None,
    answer_s: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Show how the drive NODE is. Only reads. Exit code 1 for a drive in a fault."""
    if not watch and (every_s, seconds, count) != (None, None, None):
        raise click.UsageError("--every, --for and --count go with --watch")
    number = node_id(node)
    printer = output.Printer(live=True)
    with live.network(interface, eds, timeout_s=answer_s, quiet=quiet) as network:
        live.node(network, number, eds)
        drive = network.drive(number, axis=axis, units=units)
        fault = False
        for shown, values in _looks(network, drive, every_s or _EVERY_S, seconds, count if watch else 1):
            fault = shown.state is not None and shown.state.name.startswith("FAULT")
            if as_json:
                printer.json(_as_dict(drive, shown, values))
            elif watch:
                printer.line(f"{_head(shown)}  {_measured(values)}", **_style(shown))
            else:
                _print(drive, shown, values, printer)
    if fault:
        sys.exit(EXIT_FINDINGS)


def _looks(
    network: Network, drive: Drive, every_s: float, seconds: float | None, count: int | None
) -> Iterator[tuple[DriveStatus, dict[str, tuple[float, str] | None]]]:
    """Until one of them is over, or Ctrl-C."""
    until = None if seconds is None else network.clock.now() + seconds
    try:
        while True:
            yield drive.status, _values(drive)
            count = None if count is None else count - 1
            if count == 0 or (until is not None and network.clock.now() + every_s > until):
                return
            network.sleep(every_s)
    except KeyboardInterrupt:
        return


def _values(drive: Drive) -> dict[str, tuple[float, str] | None]:
    units = drive.network.run(drive.plans.units())
    found: dict[str, tuple[float, str] | None] = {}
    for quantity in _QUANTITIES:
        try:
            found[quantity] = drive.network.run(drive.plans.read(quantity)), units.default(quantity)
        except SdoAborted:
            found[quantity] = None
    return found


def _style(shown: DriveStatus) -> dict[str, Any]:
    if shown.state is not None and shown.state.name.startswith("FAULT"):
        return {"fg": "red"}
    return {"fg": "yellow"} if shown.word & _WARNING else {}


def _head(shown: DriveStatus) -> str:
    return f"{shown}, warning" if shown.word & _WARNING else str(shown)


def _measured(values: dict[str, tuple[float, str] | None]) -> str:
    return "  ".join(f"{value[0]:.6g} {value[1]}" for value in values.values() if value is not None)


def _print(
    drive: Drive, shown: DriveStatus, values: dict[str, tuple[float, str] | None], printer: output.Printer
) -> None:
    state = "no state of CiA 402" if shown.state is None else shown.state.value
    rows = [("state", f"{state} (statusword {shown.word:04X}h)")]
    rows.append(("mode", "not told" if shown.mode is None else mode_label(shown.mode)))
    rows.append(("bits", ", ".join(shown.bits) or "none"))
    for quantity, value in values.items():
        rows.append((quantity, "not told" if value is None else f"{value[0]:.6g} {value[1]}"))
    error = "not told" if shown.error is None else "none"
    rows.append(("error", f"{shown.error:04X}h {shown.error_text}".rstrip() if shown.error else error))
    rows.append(("warning", "yes (statusword bit 7)" if shown.word & _WARNING else "none"))
    printer.line(drive_name(drive), bold=True)
    for name, text in rows:
        style = _style(shown) if name in ("state", "error", "warning") else {}
        printer.hanging(f"  {name:<9} ", text, **style)


def _as_dict(drive: Drive, shown: DriveStatus, values: dict[str, tuple[float, str] | None]) -> dict[str, Any]:
    made: dict[str, Any] = {
        "node": drive.node_id,
        "axis": drive.link.axis,
        "state": None if shown.state is None else shown.state.name,
        "statusword": shown.word,
        "bits": list(shown.bits),
        "mode": shown.mode,
        "mode_text": None if shown.mode is None else mode_label(shown.mode),
        "error": shown.error,
        "error_text": shown.error_text or None,
        "warning": bool(shown.word & _WARNING),
    }
    for quantity, value in values.items():
        made[quantity] = None if value is None else value[0]
        made[f"{quantity}_unit"] = None if value is None else value[1]
    return made


@click.command(short_help="Say what keeps the drive from being enabled, or from moving.")
@click.argument("node", metavar="NODE")
@click.argument("wanted", metavar=f"[{'|'.join(_WANTED)}]", required=False)
@drive_options
def why(
    node: str,
    wanted: str | None,
    interface: str | None,
    eds: EdsChoice,
    axis: int,
    units: str | None,
    answer_s: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Say what keeps the drive NODE from being enabled or, with `motion`, from moving. Only reads and listens.

    Exit code 1 when anything was found.
    """
    from opendiag.diagnose.drive_why import why_not

    if wanted is not None and wanted not in _WANTED:
        raise click.UsageError(f"{wanted!r} is nothing to ask about: expected {', '.join(_WANTED)}")
    number, asked = node_id(node), wanted or "enabled"
    with live.network(interface, eds, timeout_s=answer_s, quiet=quiet) as network:
        live.node(network, number, eds)
        drive = network.drive(number, axis=axis, units=units)
        drive.know()
        found = network.run(why_not(drive.link, _WANTED[asked], network.watch))
    printer = output.Printer()
    if as_json:
        findings = [
            {
                "code": each.code,
                "severity": each.severity.name,
                "sentence": each.sentence,
                "advice": each.advice or None,
            }
            for each in found
        ]
        printer.json({"node": number, "axis": axis, "wanted": asked, "findings": findings})
    elif not found:
        printer.line(f"node {number}: nothing is found that keeps it from {_TEXTS[asked]}")
    for each in () if as_json else found:
        printer.hanging(f"{each.code:<16} ", each.sentence, **_COLOURS.get(each.severity, {}))
        if each.advice:
            printer.hanging(" " * 17, each.advice)
    if any(each.severity >= Severity.WARNING for each in found):
        sys.exit(EXIT_FINDINGS)


_COLOURS: dict[Severity, dict[str, Any]] = {Severity.ERROR: {"fg": "red"}, Severity.WARNING: {"fg": "yellow"}}
_TEXTS = {
    "enabled": "being enabled",
    "motion": "moving",
    "ready": "READY TO SWITCH ON",
    "switched-on": "SWITCHED ON",
}
