"""`opendiag drive stop`, `disable` and `reset`: they never energise a drive, so nobody is asked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from opendiag.cia402.link import DriveLink
from opendiag.cia402.objects import AXIS_STEP, MOST_AXES, STATUSWORD
from opendiag.cia402.rest import make_safe
from opendiag.cli import EXIT_FINDINGS, live, output
from opendiag.cli.drive_arguments import drive_options
from opendiag.cli.options import EdsChoice, node_id
from opendiag.errors import OpenDiagError, SdoAborted, SdoError
from opendiag.services.plans import Gather, Now, Plan, SdoRead, Sleep

if TYPE_CHECKING:
    from opendiag.master.drive import Drive
    from opendiag.master.network import Network

_DEVICE_TYPE, _DRIVE_PROFILE = 0x1000, 402
#: `stop all` asks so many nodes at a time who they are, and waits so long for each.
_AT_A_TIME, _ASK_S = 16, 0.06
#: A drive that has not answered for so long while it is stopped is told; and how often that is looked at.
_SILENT_S, _LOOK_S = 0.8, 0.02


@dataclass(frozen=True, slots=True)
class _Stopped:
    """``at_rest`` is False where the drive did not confirm it; ``state`` is what it said last."""

    node_id: int
    axis: int
    at_rest: bool
    state: str | None
    took_s: float

    def to_dict(self) -> dict[str, Any]:
        return {
            "node": self.node_id,
            "axis": self.axis,
            "at_rest": self.at_rest,
            "state": self.state,
            "took_ms": round(self.took_s * 1000, 1),
        }


@click.command(short_help="Stop a drive, or all of them, at once: quick stop, then disable.")
@click.argument("nodes", metavar="NODE...|all", nargs=-1, required=True)
@drive_options
def stop(
    nodes: tuple[str, ...],
    interface: str | None,
    eds: EdsChoice,
    axis: int,
    units: str | None,
    answer_s: float,
    as_json: bool,
    quiet: bool,
) -> None:
    """Stop each NODE at once: the first frame is the quick stop, and it is disabled when it stands still.

    `all` asks every node-ID what it is, and stops each drive as soon as it has said so. The axes behind the first one
    follow. It is repeated until the drive confirms it, for 8 s at most; then the node also gets NMT stop. This is no
    emergency stop: it needs a bus and a drive that works. Exit code 1 when a drive does not confirm that it is at rest.
    """
    everybody = "all" in nodes
    numbers = [] if everybody else [node_id(text) for text in dict.fromkeys(nodes)]
    with live.network(interface, eds, timeout_s=answer_s, unconfirmed=True, quiet=quiet) as network:
        plans = [_stop_all(eds)] if everybody else [_stop(number, axis) for number in numbers]
        found: list[_Stopped] = network.run(_collected(plans))
        if everybody:  # of the many that are no drives and do not answer
            network.oddities[:] = [each for each in network.oddities if each.finding.code != "SDO-RESTARTED"]
    printer = output.Printer(live=True)
    for each in found:
        _print(each, printer, as_json)
    if not found and not quiet:
        output.note("No drive answered.")
    if not found or not all(each.at_rest for each in found):
        sys.exit(EXIT_FINDINGS)


def _collected(plans: Sequence[Plan[list[_Stopped]]]) -> Plan[list[_Stopped]]:
    """All side by side."""
    results = yield Gather(tuple(plans))
    for result in results:
        if isinstance(result, OpenDiagError):
            raise result
    return [each for result in results for each in result]


def _stop(number: int, axis: int) -> Plan[list[_Stopped]]:
    """One drive; the further axes of it after the one that is named. Raise SdoAborted for an axis that it has not."""
    if axis:
        try:
            yield SdoRead(number, STATUSWORD + axis * AXIS_STEP, 0, _ASK_S)
        except SdoAborted as error:
            if not error.by_client:
                raise
        except SdoError:
            pass  # it may hear what it does not answer
    found = [(yield from _stop_axis(number, axis))]
    for other in range(MOST_AXES):
        if other != axis and found[0].at_rest:
            if not (yield from _has_axis(number, other)):
                if other > axis:
                    break
                continue
            found.append((yield from _stop_axis(number, other)))
    return found


def _has_axis(number: int, axis: int) -> Plan[bool]:
    try:
        yield SdoRead(number, STATUSWORD + axis * AXIS_STEP, 0, _ASK_S)
    except SdoError:
        return False
    return True


def _stop_axis(number: int, axis: int) -> Plan[_Stopped]:
    link = DriveLink(number, axis=axis)
    began: float = yield Now()
    at_rest = yield from _told_when_silent(link, make_safe(link))
    took: float = (yield Now()) - began
    return _Stopped(number, axis, at_rest, None if link.state is None else link.state.name, took)


def _told_when_silent(link: DriveLink, stopping: Plan[bool]) -> Plan[bool]:
    over: list[bool] = []

    def stop_it() -> Plan[bool]:
        try:
            return (yield from stopping)
        finally:
            over.append(True)

    def listen() -> Plan[None]:
        began: float = yield Now()
        while not over:
            if link.statusword is None and (yield Now()) - began >= _SILENT_S:
                output.note(f"drive {link.node_id} does not answer, still trying: use the emergency stop")
                return
            yield Sleep(_LOOK_S)

    at_rest, _ = yield Gather((stop_it(), listen()))
    if isinstance(at_rest, OpenDiagError):
        raise at_rest
    return bool(at_rest)


def _stop_all(eds: EdsChoice) -> Plan[list[_Stopped]]:
    """Those that are known come first."""
    order = sorted(range(1, 128), key=lambda number: (number not in eds.by_node, number))
    results = yield Gather(tuple(_stop_if_drive(number) for number in order), _AT_A_TIME)
    found: list[_Stopped] = []
    for result in results:
        if isinstance(result, OpenDiagError):
            raise result
        found += result
    return sorted(found, key=lambda each: (each.node_id, each.axis))


def _stop_if_drive(number: int) -> Plan[list[_Stopped]]:
    try:
        raw = yield SdoRead(number, _DEVICE_TYPE, 0, _ASK_S)
    except SdoError:
        return []
    if int.from_bytes(raw[:2], "little") != _DRIVE_PROFILE:
        return []
    return (yield from _stop(number, 0))


def _print(each: _Stopped, printer: output.Printer, as_json: bool) -> None:
    if as_json:
        printer.json(each.to_dict())
        return
    axis = f" axis {each.axis}" if each.axis else ""
    state = (each.state or "no answer").replace("_", " ")
    if each.at_rest:
        printer.line(f"node {each.node_id}{axis}: {state}, at rest, confirmed after {each.took_s * 1000:.0f} ms")
    else:
        printer.line(
            f"node {each.node_id}{axis}: {state}, NOT CONFIRMED TO BE AT REST: use the emergency stop", fg="red"
        )


@click.command(short_help="Disable a drive, with its ramp.")
@click.argument("node", metavar="NODE")
@drive_options
def disable(node: str, **given: Any) -> None:
    """Disable NODE as its 605Ch says, usually with a ramp. `drive stop` is faster."""
    _act(node, "disable", **given)


@click.command(short_help="Acknowledge a fault. Never enables the drive.")
@click.argument("node", metavar="NODE")
@drive_options
def reset(node: str, **given: Any) -> None:
    """Acknowledge the fault of NODE. It ends in SWITCH ON DISABLED; a drive without a fault is left as it is.

    Exit code 1 when the fault stays, as its cause is still there.
    """
    _act(node, "reset", **given)


def _act(
    node: str,
    verb: str,
    *,
    interface: str | None,
    eds: EdsChoice,
    axis: int,
    units: str | None,
    answer_s: float,
    as_json: bool,
    quiet: bool,
) -> None:
    number = node_id(node)
    with live.network(interface, eds, timeout_s=answer_s, unconfirmed=True, quiet=quiet) as network:
        live.node(network, number, eds)
        drive = network.drive(number, axis=axis, units=units)
        before = drive.status
        _do(network, drive, verb)
        after = drive.status
    printer = output.Printer()
    if as_json:
        states = [None if each.state is None else each.state.name for each in (before, after)]
        printer.json({"node": number, "axis": axis, "before": states[0], "after": states[1], "error": before.error})
        return
    printer.line(
        f"node {number}: was {before}; is {after}" if before.state is not after.state else f"node {number}: {after}"
    )


def _do(network: Network, drive: Drive, verb: str) -> None:
    """Raise the drive's error, with what is found about its reason."""
    from opendiag.diagnose.drive_why import explain
    from opendiag.errors import DriveError

    try:
        drive.reset() if verb == "reset" else drive.disable()
    except DriveError as error:
        network.run(explain(drive.link, error, network.watch))
        raise
