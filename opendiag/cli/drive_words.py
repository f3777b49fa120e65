"""What the verbs of `opendiag drive` say about motions: before them, and in the words of the command line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from opendiag.cia402.link import DriveLink
from opendiag.cia402.sequence import ACTIONS, Amount, Sequence
from opendiag.cia402.sequence_outlook import already_enabled, outlook
from opendiag.cia402.units import Units
from opendiag.cli import output
from opendiag.services.plans import Now, Plan, Sleep

if TYPE_CHECKING:
    from opendiag.master.drive import Drive

#: A drive that has not answered for so long while it is stopped is told; and how often that is looked at.
SILENT_S, _LOOK_S = 0.8, 0.02
_QUANTITIES = ("position", "velocity", "acceleration", "torque", "current")
_LIMIT = re.compile(r"\b(position|velocity|current)\b([^;]*?), which this script set as its limit")
_LIMITS_OF = re.compile(r"limits of node \d+(?: axis \d+)?: (position|velocity|current): ")


def command_line_words(text: str) -> str:
    """A limit is that of an option here."""
    text = _LIMIT.sub(r"\1\2, by --limit-\1", text)
    return _LIMITS_OF.sub(r"--limit-\1: ", text).replace("the limit of ", "--limit-velocity ")


def prospect(sequence: Sequence, drives: Mapping[str, Drive], what: str | None) -> str:
    """What completes "will be energised", and who is enabled already. ``what`` None: from the sequence's one motion."""
    told = what
    warnings = []
    for name, drive in drives.items():
        if told is None:
            told = drive.network.run(outlook(sequence, name, drive.plans))
        state = drive.network.run(already_enabled(drive.plans))
        if state:
            warnings.append(f"; {name} is {state} already: somebody else controls it")
    return (told or "") + "".join(warnings)


def tell_silence(link: DriveLink, over: Callable[[], bool]) -> Plan[None]:
    """A note, once, about a drive that was enabled and does not answer while it is stopped. Runs beside that."""
    enabled, since = False, None
    while not over():
        now: float = yield Now()
        enabled = enabled or link.permitted
        stopping = enabled and not link.permitted and link.at_rest is None
        since = None if not stopping else now if since is None else since
        if since is not None and now - since >= SILENT_S and link.status_at < since:
            output.note(f"drive {link.node_id} does not answer, still trying: use the emergency stop")
            return
        yield Sleep(_LOOK_S)


def assumed_units(sequence: Sequence, drives: Mapping[str, Drive]) -> Iterator[str]:
    """A note for each number that came without a unit."""
    for name, drive in drives.items():
        units: Units = drive.network.run(drive.plans.units())
        for line, quantity, value in dict.fromkeys(_without_unit(sequence, name)):
            where = f"{sequence.file}:{line}: " if line else ""
            yield f"{where}{quantity} {value:g} has no unit: it is taken as {value:g} {units.default(quantity)}"


def _without_unit(sequence: Sequence, name: str) -> Iterator[tuple[int, str, float]]:
    limits = sequence.axes[name].limits
    for quantity, ends in (
        ("position", limits.position or ()),
        ("velocity", (limits.velocity,)),
        ("acceleration", (limits.acceleration,)),
        ("current", (limits.current,)),
    ):
        for end in ends:
            number = end if isinstance(end, str) else "" if end is None else str(end)
            if number and not Units.parse(number).unit:
                yield sequence.axes[name].line, quantity, Units.parse(number).value
    for step in sequence.all_steps():
        action = ACTIONS[step.action]
        amounts: list[tuple[str, Amount | None]] = [(action.value, step.values.get(name))]
        amounts += [(quantity, step.option(key, name)) for key, quantity in action.options.items() if key != "steps"]
        for quantity, amount in amounts:
            if quantity in _QUANTITIES and amount is not None and not amount.unit:
                yield step.line, quantity, amount.value
