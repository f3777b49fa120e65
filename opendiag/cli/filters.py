"""Which records and frames to show. All of them are decoded all the same: the context may lie outside."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import wraps
from typing import Any

import click

from opendiag.adapters.can_filter import CanFilter, parse_filters
from opendiag.cli.options import node_id, object_key
from opendiag.decode.records import Record
from opendiag.errors import BadFilter
from opendiag.frame import Frame
from opendiag.wire.cob_id import Connection, Service

#: --only word -> services of the record schema, services of the connection set.
KINDS: dict[str, tuple[tuple[str, ...], tuple[Service, ...]]] = {
    "sdo": (("sdo", "sdo.read", "sdo.write"), (Service.SDO_REQUEST, Service.SDO_RESPONSE)),
    "pdo": (("tpdo", "rpdo"), (Service.TPDO, Service.RPDO)),
    "nmt": (("nmt", "boot-up"), (Service.NMT,)),
    "emcy": (("emcy",), (Service.EMCY,)),
    "hb": (("heartbeat", "guarding", "boot-up"), (Service.ERROR_CONTROL,)),
    "sync": (("sync",), (Service.SYNC,)),
    "time": (("time",), (Service.TIME,)),
    "lss": (("lss",), (Service.LSS_REQUEST, Service.LSS_RESPONSE)),
    "err": (("error-frame",), ()),
    "unknown": (("unknown",), (Service.UNKNOWN,)),
}


#: What is remembered of frames of the past, for records that have to do with them.
_WINDOW = 1_000_000
NOTHING_PASSES = "Nothing passes the filter."


def filter_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """--filter; the command gets a `CanFilter` as ``frame_filter``, or None."""

    @click.option(
        "--filter",
        "frame_filter",
        callback=_frame_filter,
        metavar="ID:MASK,...",
        help="Only these frames, as candump has it: 185:7FF, 700~780 (all but these), #FFFFFFFF (error frames).",
    )
    @wraps(command)
    def wrapped(*args: Any, **kwargs: Any) -> Any:
        return command(*args, **kwargs)

    return wrapped


def _frame_filter(context: click.Context, parameter: click.Parameter, text: str | None) -> CanFilter | None:
    try:
        return None if text is None else parse_filters(text)
    except BadFilter as error:
        raise click.BadParameter(f"{error.filter!r}: {error.reason}") from None


class PassedFrames:
    """Which of the frames passed a filter, by their numbers from 1; of the last million at least."""

    def __init__(self, frame_filter: CanFilter) -> None:
        self._filter = frame_filter
        self._passed = bytearray()
        self._forgotten = 0

    def add(self, frame: Frame) -> None:
        """The next frame."""
        if len(self._passed) >= 2 * _WINDOW:
            del self._passed[:_WINDOW]
            self._forgotten += _WINDOW
        self._passed.append(self._filter.matches(frame))

    def any(self, numbers: Iterable[int]) -> bool:
        """Did one of these pass?"""
        return any(self._passed[place] for n in numbers if 0 <= (place := n - 1 - self._forgotten) < len(self._passed))


@dataclass(frozen=True)
class Filter:
    """Empty sets and None let everything pass. Times in ns after the first frame.

    ``frames`` is for `Run`: a record passes with any of its frames.
    """

    nodes: frozenset[int] = frozenset()
    kinds: tuple[str, ...] = ()
    objects: frozenset[tuple[int, int | None]] = frozenset()
    changes: bool = False
    start_ns: int | None = None
    end_ns: int | None = None
    frames: CanFilter | None = None

    @property
    def active(self) -> bool:
        return self != Filter()

    @property
    def wants_times(self) -> bool:
        return self.start_ns is not None or self.end_ns is not None

    def shows(self, record: Record, zero_ns: int) -> bool:
        """A record of all nodes, as an NMT command to all is, belongs to each of them."""
        if self.changes and not record.changed:
            return False
        if self.nodes and record.node not in self.nodes and not (record.service == "nmt" and record.node is None):
            return False
        if self.kinds and not any(record.service in KINDS[kind][0] for kind in self.kinds):
            return False
        if self.objects and not self._has_object(record):
            return False
        return self._in_time(record.time_ns, zero_ns)

    def shows_frame(self, frame: Frame, connection: Connection, records: Iterable[Record], zero_ns: int) -> bool:
        """A frame is shown with its records; one that completes nothing, as an SDO request, by what it belongs to."""
        if self.frames is not None and not self.frames.matches(frame):
            return False
        made = list(records)
        if made:
            return any(self.shows(record, zero_ns) for record in made)
        if self.nodes and connection.node_id not in self.nodes:
            return False
        if self.kinds and not any(connection.service in KINDS[kind][1] for kind in self.kinds):
            return False
        return self._in_time(frame.time_ns, zero_ns)

    def _has_object(self, record: Record) -> bool:
        if record.index is None:
            return False
        return (record.index, record.subindex) in self.objects or (record.index, None) in self.objects

    def _in_time(self, time_ns: int | None, zero_ns: int) -> bool:
        if time_ns is None or not self.wants_times:
            return True
        at = time_ns - zero_ns
        return (self.start_ns is None or self.start_ns <= at) and (self.end_ns is None or at <= self.end_ns)


def make_filter(
    nodes: tuple[str, ...],
    only: str | None,
    objects: tuple[str, ...],
    changes: bool,
    start_s: float | None,
    end_s: float | None,
    frames: CanFilter | None = None,
) -> Filter:
    """From what the command line says. Raises click.BadParameter."""
    return Filter(
        frozenset(node_id(text) for text in nodes),
        _kinds(only),
        frozenset(object_key(text) for text in objects),
        changes,
        _nanoseconds(start_s),
        _nanoseconds(end_s),
        frames,
    )


def _kinds(only: str | None) -> tuple[str, ...]:
    if only is None:
        return ()
    words = tuple(word.strip().lower() for word in only.split(",") if word.strip())
    if not words:
        raise click.BadParameter(f"--only names no service: it knows {', '.join(KINDS)}")
    for word in words:
        if word not in KINDS:
            raise click.BadParameter(f"--only does not know {word!r}: it knows {', '.join(KINDS)}")
    return words


def _nanoseconds(seconds: float | None) -> int | None:
    if seconds is None:
        return None
    if not math.isfinite(seconds):
        raise click.BadParameter(f"{seconds} is no time: expected seconds after the first frame")
    return round(seconds * 1e9)
