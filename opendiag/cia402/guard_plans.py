"""The drive's own guard: it is told to stop by itself when our heartbeat stays out, and gets its settings back later.

A computer that dies, or a cable that is cut, leaves nobody else who could stop the motor.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from opendiag.cia402.link import DriveLink
from opendiag.cia402.objects import ABORT_CONNECTION
from opendiag.errors import OpenDiagError, SdoAborted, SdoError, WireError
from opendiag.services.plans import Plan

_CONSUMED, _PRODUCED, _ERROR_BEHAVIOUR = 0x1016, 0x1017, 0x1029
_QUICK_STOP, _FAULT, _DISABLE = 3, 1, 2
_PRE_OPERATIONAL, _NO_CHANGE = 0, 1
_TEXTS = {_QUICK_STOP: "quick stop", _FAULT: "fault reaction", _DISABLE: "voltage off"}


@dataclass(slots=True)
class OwnGuard:
    """What was changed in the drive: ``before`` holds (index, subindex, value) of each object, in that order.

    ``reaction`` is what the drive will do, None: nothing is known to make it stop. ``missing`` says what it lacks.
    """

    before: list[tuple[int, int, int]] = field(default_factory=list)
    reaction: str | None = None
    missing: list[str] = field(default_factory=list)


def set_up_guard(link: DriveLink, made: OwnGuard, master: int, allowed_s: float, beat_s: float) -> Plan[None]:
    """Let the drive watch the heartbeat of node ``master``, and send one of its own.

    ``made`` is filled in as it goes, so that what a failure leaves behind can be put back. What a drive does not have
    or refuses is noted in it. Raise SdoTimeout, AdapterError.
    """
    watches = yield from _watch(link, made, master, round(allowed_s * 1000))
    if watches:
        made.reaction = yield from _reaction(link, made)
        if (yield from link.read_if_there(_ERROR_BEHAVIOUR, 1)) == _NO_CHANGE:
            yield from _change(link, made, _ERROR_BEHAVIOUR, 1, _NO_CHANGE, _PRE_OPERATIONAL)
    period = yield from link.read_if_there(_PRODUCED)
    beat = round(beat_s * 1000)
    if period is None:
        made.missing.append("it sends no heartbeat (no 1017h)")
    elif not 0 < period <= beat:
        yield from _change(link, made, _PRODUCED, 0, period, beat)


def _watch(link: DriveLink, made: OwnGuard, master: int, allowed_ms: int) -> Plan[bool]:
    """An entry of 1016h for us: the one we have already, else a free one."""
    entries = (yield from link.read_if_there(_CONSUMED)) or 0
    free: tuple[int, int] | None = None
    for subindex in range(1, entries + 1):
        value = yield from link.read_if_there(_CONSUMED, subindex)
        if value is None:
            continue
        if value >> 16 & 0xFF == master:
            free = subindex, value
            break
        if free is None and not (value >> 16 & 0xFF and value & 0xFFFF):
            free = subindex, value
    if free is None:
        made.missing.append("it watches no heartbeat of ours (no free entry in 1016h)" if entries else "no 1016h")
        return False
    subindex, value = free
    return (yield from _change(link, made, _CONSUMED, subindex, value, master << 16 | allowed_ms))


def _reaction(link: DriveLink, made: OwnGuard) -> Plan[str | None]:
    """Let 6007h ask for a quick stop, else for whatever it takes."""
    option = yield from link.read_if_there(ABORT_CONNECTION)
    if option is None:
        made.missing.append("nothing says what it does when our heartbeat stays out (no 6007h)")
        return None
    for wanted in (_QUICK_STOP, _FAULT, _DISABLE):
        if option == wanted or (yield from _change(link, made, ABORT_CONNECTION, 0, option, wanted)):
            return _TEXTS[wanted]
    made.missing.append(f"6007h stays {option}: it does nothing when our heartbeat stays out")
    return None


def _change(link: DriveLink, made: OwnGuard, index: int, subindex: int, before: int, value: int) -> Plan[bool]:
    """False where the drive refuses. It is noted before it is done: a lost answer does not say that it was not done."""
    made.before.append((index, subindex, before))
    try:
        yield from link.write(index, value, subindex)
    except (SdoAborted, WireError):
        made.before.pop()
        return False
    return True


def put_back(link: DriveLink, made: OwnGuard) -> Plan[list[str]]:
    """Write the values from before. Gives the objects where that failed; raises nothing but GeneratorExit."""
    failed: list[str] = []
    while made.before:
        index, subindex, value = made.before.pop()
        try:
            yield from link.write(index, value, subindex, link.timing.answer_s)
        except OpenDiagError as error:
            failed.append(f"{index:04X}:{subindex:02X} (was {value}): {error}")
            if not isinstance(error, SdoError):
                break
    made.reaction = None
    return failed
