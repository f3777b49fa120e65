"""Touch probe: the drive notes its position at the very edge of a signal (60B8h..60BDh), while it moves or stands.

A capture never moves anything and never stops anything: run it beside a motion with `Together`.
"""

from __future__ import annotations

import contextlib
from enum import Enum

from opendiag.cia402.link import DriveLink
from opendiag.cia402.motion import Watch
from opendiag.cia402.objects import PROBE_FUNCTION, PROBE_STATUS
from opendiag.errors import AdapterError, MotionFailed, MotionTimeout, SdoError, UnknownTarget, WireError
from opendiag.services.plans import Now, Plan, Sleep

_ON, _CONTINUOUS, _INDEX_PULSE, _POSITIVE, _NEGATIVE = 0x01, 0x02, 0x04, 0x10, 0x20
_STORED = {"positive": 0x02, "negative": 0x04}
_EDGE = {"positive": _POSITIVE, "negative": _NEGATIVE}
#: (probe, edge) -> the object with the position.
_VALUES = {(1, "positive"): 0x60BA, (1, "negative"): 0x60BB, (2, "positive"): 0x60BC, (2, "negative"): 0x60BD}
_SECOND, _BYTE = 8, 0xFF


class ProbeSource(Enum):
    """What triggers a probe."""

    INPUT = 0
    INDEX_PULSE = _INDEX_PULSE


def arm(
    link: DriveLink,
    probe: int = 1,
    edge: str = "positive",
    *,
    source: ProbeSource = ProbeSource.INPUT,
    continuous: bool = False,
) -> Plan[None]:
    """Switch a probe off and on again, so that nothing older can be taken for its result. The other one stays as it is.

    ``edge`` is "positive" or "negative"; ``continuous``: every edge counts, the last one stays. Raise UnknownTarget,
    MotionFailed when the drive does not show it as switched on or keeps the old result, SdoError.
    """
    value_of(link, probe, edge)
    shift = (probe - 1) * _SECOND
    function = yield from link.read(PROBE_FUNCTION)
    others = function & ~(_BYTE << shift)
    yield from link.write(PROBE_FUNCTION, others)
    if not (yield from _await_status(link, shift, 0, _ON | _STORED["positive"] | _STORED["negative"])):
        raise MotionFailed(link.node_id, f"touch probe {probe}", "60B9h still shows what it has stored before")
    mine = _ON | _EDGE[edge] | source.value | (_CONTINUOUS if continuous else 0)
    yield from link.write(PROBE_FUNCTION, others | mine << shift)
    if not (yield from _await_status(link, shift, _ON, _ON)):
        raise MotionFailed(link.node_id, f"touch probe {probe}", "60B9h does not show it as switched on")


def disarm(link: DriveLink, probe: int = 1) -> Plan[None]:
    """Switch it off. What it stored may stay readable. Raise UnknownTarget, SdoError."""
    value_of(link, probe, "positive")
    function = yield from link.read(PROBE_FUNCTION)
    yield from link.write(PROBE_FUNCTION, function & ~(_BYTE << (probe - 1) * _SECOND))


def value_of(link: DriveLink, probe: int, edge: str) -> int:
    """The object with the position of an edge. Raise UnknownTarget for a probe or an edge that there is none of."""
    if probe not in (1, 2):
        raise UnknownTarget(link.node_id, "touch probe", str(probe), ("1", "2"))
    if edge not in _EDGE:
        raise UnknownTarget(link.node_id, "edge", edge, tuple(_EDGE))
    return _VALUES[probe, edge]


def captured(link: DriveLink, probe: int = 1, edge: str = "positive") -> Plan[int | None]:
    """The position of the edge since the probe was armed; None: none yet. Raise UnknownTarget, SdoError."""
    index = value_of(link, probe, edge)
    status = (yield from link.read(PROBE_STATUS)) >> (probe - 1) * _SECOND
    if not status & _ON or not status & _STORED[edge]:
        return None
    return (yield from link.read(index))


def capture(
    link: DriveLink,
    probe: int = 1,
    edge: str = "positive",
    *,
    source: ProbeSource = ProbeSource.INPUT,
    timeout_s: float = 10.0,
    watch: Watch | None = None,
) -> Plan[int]:
    """Arm a probe, wait for the edge, switch the probe off. Gives the position of the edge.

    Raise UnknownTarget, MotionTimeout, MotionFailed, SdoError; none of them touches the state of the drive.
    """
    value_of(link, probe, edge)
    try:
        position = yield from _capture(link, probe, edge, source, timeout_s, watch)
    except GeneratorExit:
        raise
    except BaseException:  # it is not left switched on, whatever it was
        with contextlib.suppress(SdoError, WireError, AdapterError):
            yield from disarm(link, probe)
        raise
    yield from disarm(link, probe)
    return position


def _capture(
    link: DriveLink, probe: int, edge: str, source: ProbeSource, timeout_s: float, watch: Watch | None
) -> Plan[int]:
    yield from arm(link, probe, edge, source=source)
    began = yield Now()
    while (position := (yield from captured(link, probe, edge))) is None:
        if watch is not None:
            yield from watch(link)
        if (yield Now()) - began >= timeout_s:
            raise MotionTimeout(link.node_id, f"touch probe {probe}", f"no {edge} edge within {timeout_s:g} s")
        yield Sleep(link.timing.poll_s)
    return position


def _await_status(link: DriveLink, shift: int, wanted: int, mask: int) -> Plan[bool]:
    began = yield Now()
    while ((yield from link.read(PROBE_STATUS)) >> shift & mask) != wanted:
        if (yield Now()) - began >= link.timing.state_s:
            return False
        yield Sleep(link.timing.poll_s)
    return True
