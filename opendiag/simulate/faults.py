"""Faults on purpose, as plain data: lose the third SDO answer of node 5, delay, change, swap, invent frames.

A `Fault` says which frames it is about (identifier or service and node, sender, time), which of them it takes (the
n-th, every n-th, with a probability) and what happens to them. A list of them is a script; the bus runs it with a seed,
so that the same script and seed do the same again, and lists every fault that fired.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, NamedTuple

from opendiag.frame import MAX_EXTENDED_ID, MAX_STANDARD_ID, Frame
from opendiag.simulate.station import Station
from opendiag.wire.cob_id import Service, classify

#: action -> what it does, for help texts.
ACTIONS = {
    "drop": "the frame is on the bus and acknowledged, and no receiver gets it",
    "delay": "receivers get it delay_s later",
    "duplicate": "receivers get it twice, the second time delay_s later",
    "corrupt": "receivers get it with its data bytes combined with xor",
    "replace": "receivers get `frame` instead",
    "reorder": "receivers get it after the next frame that the fault is about, or after delay_s if that is given",
    "inject": "`frame` is sent on the bus by an intruder, delay_s after this one",
    "error": "a bit is destroyed on the bus: an error frame, and the sender tries again",
}
_NEEDS = {"delay": "delay_s", "corrupt": "xor", "replace": "frame", "inject": "frame"}
_ONLY_FOR = {
    "delay_s": ("delay", "duplicate", "reorder", "inject"),
    "xor": ("corrupt",),
    "frame": ("replace", "inject"),
}
_ALIASES = {"heartbeat": "nmt error control", "error control": "nmt error control", "boot-up": "nmt error control"}
_NUMBERED = ("tpdo", "rpdo")
_SERVICES = {service.value.lower() for service in Service if service is not Service.UNKNOWN}
#: Every text that `Fault.service` takes.
SERVICES = frozenset({*_SERVICES, *_ALIASES, *(f"{kind}{number}" for kind in _NUMBERED for number in range(1, 5))})


@dataclass(frozen=True, slots=True)
class Fault:
    """``action`` is one of `ACTIONS`.

    Which frames it is about, all that are given together: ``can_id`` (with ``extended``), ``service`` by the predefined
    connection set ("sdo response", "tpdo", "tpdo2", "emcy", "heartbeat"; see `SERVICES`), ``node``, ``sender`` (name of
    a station), ``from_s`` and ``until_s`` (seconds since the bus began; until is not part of it).

    Which of those it takes: the ``nth`` (from 1), ``every`` n-th (from ``nth`` on if both are given), each with
    ``probability``, at most ``limit`` of them. With none of these: all.

    Raise ValueError with a sentence that names the field and what it takes.
    """

    action: str
    can_id: int | None = None
    extended: bool = False
    service: str | None = None
    node: int | None = None
    sender: str | None = None
    from_s: float | None = None
    until_s: float | None = None
    nth: int | None = None
    every: int | None = None
    probability: float | None = None
    limit: int | None = None
    delay_s: float | None = None
    xor: bytes = b""
    frame: Frame | None = None

    def __post_init__(self) -> None:
        _check(self)
        if self.service is not None:
            object.__setattr__(self, "service", _ALIASES.get(self.service.lower(), self.service.lower()))

    def concerns(self, frame: Frame, senders: Sequence[str], elapsed_s: float) -> bool:
        """Is the fault about this frame? ``elapsed_s`` counts since the bus began."""
        if self.can_id is not None and (self.can_id != frame.can_id or self.extended != frame.extended):
            return False
        if self.service is not None or self.node is not None:
            connection = classify(frame)
            service = connection.service.value.lower()
            if self.service is not None and self.service not in (service, f"{service}{connection.number}"):
                return False
            if self.node is not None and (connection.service is Service.UNKNOWN or connection.node_id != self.node):
                return False
        if self.sender is not None and self.sender not in senders:
            return False
        return (self.from_s is None or elapsed_s >= self.from_s) and (self.until_s is None or elapsed_s < self.until_s)

    def to_dict(self) -> dict[str, Any]:
        """Plain data that JSON can hold: what differs from the default; bytes in hexadecimal."""
        plain: dict[str, Any] = {}
        for field in fields(self):
            value = getattr(self, field.name)
            if field.name == "action" or value != field.default:
                plain[field.name] = _plain(value)
        return plain

    @classmethod
    def from_dict(cls, plain: Mapping[str, Any]) -> Fault:
        """Raise ValueError with a sentence that names the field and what it takes."""
        if not isinstance(plain, Mapping):
            raise ValueError(f"a fault is an object with an action, not {plain!r}")
        names = [field.name for field in fields(cls)]
        for name in plain:
            if name not in names:
                raise ValueError(f"fault: there is no field {name!r}; the fields are {', '.join(names)}")
        if "action" not in plain:
            raise ValueError(f"fault: action is missing; it is one of {', '.join(ACTIONS)}")
        values = dict(plain)
        if isinstance(values.get("can_id"), str):
            values["can_id"] = _hexadecimal_id("can_id", values["can_id"])
        if isinstance(values.get("xor"), str):
            values["xor"] = _hexadecimal_bytes("xor", values["xor"])
        if isinstance(values.get("frame"), Mapping):
            values["frame"] = _frame(values["frame"])
        return cls(**values)


@dataclass(frozen=True, slots=True)
class FiredFault:
    """``number`` is the fault's place in the script, from 0; ``time`` the bus's; ``frame`` the one it took."""

    time: float
    number: int
    fault: Fault
    frame: Frame
    senders: tuple[str, ...]


class Delivery(NamedTuple):
    """What every station but ``senders`` gets, ``after_s`` seconds from now."""

    after_s: float
    frame: Frame
    senders: tuple[Station, ...]


@dataclass(slots=True)
class Outcome:
    """What becomes of a frame that was sent well.

    ``deliveries`` come in the order to deliver; ``injections`` are (seconds from now, frame) to be sent.
    """

    deliveries: list[Delivery]
    injections: list[tuple[float, Frame]]
    lost: bool = False


class FaultScript:
    """Runs the faults of a script, in their order. Every frame is asked about once per attempt to send it."""

    def __init__(self, faults: Sequence[Fault], seed: int = 0) -> None:
        for number, fault in enumerate(faults):
            if not isinstance(fault, Fault):
                raise ValueError(f"fault {number} of the script is {fault!r}, not a Fault: see Fault.from_dict")
        self.faults = tuple(faults)
        self.fired: list[FiredFault] = []
        self._random = random.Random(seed)
        self._seen = [0] * len(self.faults)
        self._done = [0] * len(self.faults)
        self._held: list[_Held] = []
        self._on_wire = [(number, fault) for number, fault in enumerate(self.faults) if fault.action == "error"]
        self._on_arrival = [(number, fault) for number, fault in enumerate(self.faults) if fault.action != "error"]

    @property
    def held(self) -> int:
        """Frames of "reorder" faults that wait for the next one."""
        return len(self._held)

    def counts(self) -> list[int]:
        """How often each fault of the script fired."""
        return list(self._done)

    def destroys(self, frame: Frame, senders: tuple[Station, ...], elapsed_s: float, time: float) -> bool:
        """Ask at the start of a frame: does an "error" fault hit this attempt?"""
        hit = False
        names = _names(senders)
        for number, fault in self._on_wire:
            if fault.concerns(frame, names, elapsed_s) and self._takes(number, fault):
                self.fired.append(FiredFault(time, number, fault, frame, names))
                hit = True
        return hit

    def arrive(self, frame: Frame, senders: tuple[Station, ...], elapsed_s: float, time: float) -> Outcome:
        """Ask at the end of a frame that was sent well: what do the receivers get?"""
        outcome = Outcome([Delivery(0.0, frame, senders)], [])
        names = _names(senders)
        released = self._release(frame, names, elapsed_s)
        for number, fault in self._on_arrival:
            if not fault.concerns(frame, names, elapsed_s) or not _can_change(fault, frame):
                continue
            if any(held.number == number for held in released):
                # It has just swapped this frame with the one before.
                self._seen[number] += 1
                continue
            if not self._takes(number, fault):
                continue
            self.fired.append(FiredFault(time, number, fault, frame, names))
            self._apply(number, fault, outcome, time)
        outcome.deliveries += [late for held in released for late in held.deliveries]
        return outcome

    def overdue(self, time: float) -> list[Delivery]:
        """Held frames whose time has come without another one to swap with."""
        due = [held for held in self._held if held.until is not None and held.until <= time]
        self._held = [held for held in self._held if held not in due]
        return [late for held in due for late in held.deliveries]

    def next_overdue(self) -> float | None:
        """When `overdue` has something to give."""
        return min((held.until for held in self._held if held.until is not None), default=None)

    def _takes(self, number: int, fault: Fault) -> bool:
        """Count a frame the fault is about; is it one of those to take?"""
        self._seen[number] += 1
        seen = self._seen[number]
        if fault.limit is not None and self._done[number] >= fault.limit:
            return False
        if fault.every is not None:
            first = fault.nth or fault.every
            taken = seen >= first and (seen - first) % fault.every == 0
        else:
            taken = fault.nth is None or seen == fault.nth
        if taken and fault.probability is not None:
            taken = self._random.random() < fault.probability
        self._done[number] += taken
        return taken

    def _apply(self, number: int, fault: Fault, outcome: Outcome, time: float) -> None:
        delay = fault.delay_s or 0.0
        was = outcome.deliveries
        if fault.action == "drop":
            outcome.deliveries, outcome.lost = [], outcome.lost or bool(was)
        elif fault.action == "delay":
            outcome.deliveries = [Delivery(after + delay, frame, by) for after, frame, by in was]
        elif fault.action == "duplicate":
            outcome.deliveries = was + [Delivery(after + delay, frame, by) for after, frame, by in was]
        elif fault.action == "corrupt":
            outcome.deliveries = [Delivery(after, _changed(frame, fault.xor), by) for after, frame, by in was]
        elif fault.action == "replace" and fault.frame is not None:
            outcome.deliveries = [Delivery(after, fault.frame, by) for after, _, by in was]
        elif fault.action == "inject" and fault.frame is not None:
            outcome.injections.append((delay, fault.frame))
        elif fault.action == "reorder" and was:
            until = None if fault.delay_s is None else time + fault.delay_s
            self._held.append(_Held(number, fault, was, until))
            outcome.deliveries = []

    def _release(self, frame: Frame, senders: tuple[str, ...], elapsed_s: float) -> list[_Held]:
        """The held frames that were waiting for this one."""
        if not self._held:
            return []
        released = [held for held in self._held if held.fault.concerns(frame, senders, elapsed_s)]
        self._held = [held for held in self._held if held not in released]
        return released


@dataclass(eq=False, slots=True)
class _Held:
    number: int
    fault: Fault
    deliveries: list[Delivery]
    until: float | None


def _names(senders: tuple[Station, ...]) -> tuple[str, ...]:
    return tuple(station.name for station in senders)


def _can_change(fault: Fault, frame: Frame) -> bool:
    return fault.action != "corrupt" or any(fault.xor[: len(frame.data)])


def _changed(frame: Frame, xor: bytes) -> Frame:
    mask = xor.ljust(len(frame.data), b"\0")
    data = bytes(byte ^ change for byte, change in zip(frame.data, mask, strict=False))
    return Frame(frame.can_id, data, extended=frame.extended, remote=frame.remote, dlc=frame.dlc)


# --- what a script may say ------------------------------------------------------------------------------------------


def _check(fault: Fault) -> None:
    if fault.action not in ACTIONS:
        raise ValueError(f"fault: action is {fault.action!r}; it is one of {', '.join(ACTIONS)}")
    _check_identifier(fault)
    for name in ("node", "nth", "every", "limit"):
        _whole(fault, name, 1, 127 if name == "node" else None)
    for name in ("from_s", "until_s", "delay_s"):
        _seconds(fault, name)
    if fault.until_s is not None and fault.until_s <= (fault.from_s or 0.0):
        raise _wrong(fault, "until_s", "seconds later than from_s")
    chance = fault.probability
    if chance is not None and (not _is_number(chance) or not 0.0 <= chance <= 1.0):
        raise _wrong(fault, "probability", "a number from 0 to 1")
    if fault.sender is not None and not isinstance(fault.sender, str):
        raise _wrong(fault, "sender", "the name of a station")
    if fault.service is not None and (not isinstance(fault.service, str) or fault.service.lower() not in SERVICES):
        raise _wrong(fault, "service", f"one of {', '.join(sorted(SERVICES))}")
    if not isinstance(fault.xor, bytes) or len(fault.xor) > 8 or (fault.xor and not any(fault.xor)):
        raise _wrong(fault, "xor", "1 to 8 bytes that are not all zero (hexadecimal text in a script)")
    if fault.frame is not None and (not isinstance(fault.frame, Frame) or fault.frame.fd or fault.frame.error):
        raise _wrong(fault, "frame", "a classic CAN frame (an object with can_id, data, extended, remote, dlc)")
    needed = _NEEDS.get(fault.action)
    if needed is not None and getattr(fault, needed) in (None, b""):
        raise ValueError(f"fault {fault.action}: {needed} is missing")
    for name, actions in _ONLY_FOR.items():
        if getattr(fault, name) not in (None, b"") and fault.action not in actions:
            raise ValueError(f"fault {fault.action}: {name} means nothing here; it belongs to {', '.join(actions)}")


def _check_identifier(fault: Fault) -> None:
    if not isinstance(fault.extended, bool):
        raise _wrong(fault, "extended", "true or false")
    limit = MAX_EXTENDED_ID if fault.extended else MAX_STANDARD_ID
    _whole(fault, "can_id", 0, limit)
    if fault.extended and fault.can_id is None:
        raise ValueError(f"fault {fault.action}: extended says how long can_id is, and can_id is missing")


def _whole(fault: Fault, name: str, low: int, high: int | None) -> None:
    value = getattr(fault, name)
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < low or (high is not None and value > high):
        raise _wrong(
            fault, name, f"a whole number from {low}" + (f" to {high:#x} ({high})" if high is not None else "")
        )


def _seconds(fault: Fault, name: str) -> None:
    value = getattr(fault, name)
    if value is not None and (not _is_number(value) or not 0.0 <= value < float("inf")):
        raise _wrong(fault, name, "seconds, 0 or more")


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _wrong(fault: Fault, name: str, expected: str) -> ValueError:
    return ValueError(f"fault {fault.action}: {name} is {getattr(fault, name)!r}; expected {expected}")


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, Frame):
        plain: dict[str, Any] = {"can_id": value.can_id, "data": value.data.hex()}
        plain.update({name: True for name in ("extended", "remote") if getattr(value, name)})
        return plain if value.dlc == len(value.data) else {**plain, "dlc": value.dlc}
    return value


def _hexadecimal_id(name: str, text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        raise ValueError(f"fault: {name} is {text!r}; expected a number, or hexadecimal text such as '0x585'") from None


def _hexadecimal_bytes(name: str, text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise ValueError(f"fault: {name} is {text!r}; expected bytes in hexadecimal such as '43 41 60 00'") from None


def _frame(plain: Mapping[str, Any]) -> Frame:
    names = ("can_id", "data", "extended", "remote", "dlc")
    for name in plain:
        if name not in names:
            raise ValueError(f"fault: frame has no field {name!r}; its fields are {', '.join(names)}")
    if "can_id" not in plain:
        raise ValueError("fault: frame.can_id is missing")
    values = dict(plain)
    if isinstance(values["can_id"], str):
        values["can_id"] = _hexadecimal_id("frame.can_id", values["can_id"])
    if isinstance(values.get("data"), str):
        values["data"] = _hexadecimal_bytes("frame.data", values["data"])
    if isinstance(values["can_id"], bool) or not isinstance(values["can_id"], int):
        raise ValueError(f"fault: frame.can_id is {values['can_id']!r}; expected a number")
    if not isinstance(values.get("data", b""), bytes):
        raise ValueError(
            f"fault: frame.data is {values['data']!r}; expected bytes in hexadecimal such as '43 41 60 00'"
        )
    try:
        return Frame(**values)
    except (TypeError, ValueError) as error:
        raise ValueError(f"fault: frame is no CAN frame: {error}") from None
