"""One attempt to send a frame: whether it will be good, what breaks it, and how many bits that takes.

Simplified: the error flag and its echo are 6 + 6 bits, or 6 if no other error-active station is there to echo. A frame
with a bit rate of its own breaks at the end of its arbitration field, one that is destroyed on purpose in its middle.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from opendiag.frame import Frame
from opendiag.simulate.bits import arbitration_bits, frame_bits, wire_bits
from opendiag.simulate.station import Station

_FLAG_BITS, _DELIMITER_BITS = 6, 8
#: From the end of the acknowledge slot to the end of the frame.
_AFTER_ACK_BITS = 8

# Linux (can/error.h): classes, data byte 2, data byte 3.
_PROTOCOL, _NO_ACK, _BUS_ERROR = 0x008, 0x020, 0x080
_BIT_ERROR, _STUFF_ERROR, _WHILE_SENDING = 0x01, 0x04, 0x80
_IN_IDENTIFIER, _IN_DATA, _IN_ACK_SLOT = 0x06, 0x0A, 0x19

#: What receivers report of a frame that breaks: error classes, data byte 2.
NOISE = (_PROTOCOL | _BUS_ERROR, _STUFF_ERROR)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a frame is not good; ``classes``, ``protocol`` and ``location`` are for the sender's Linux error frame."""

    name: str
    classes: int = _PROTOCOL | _BUS_ERROR
    protocol: int = _WHILE_SENDING | _BIT_ERROR
    location: int = _IN_DATA


NOT_ACKNOWLEDGED = Failure("not acknowledged", _PROTOCOL | _BUS_ERROR | _NO_ACK, _WHILE_SENDING, _IN_ACK_SLOT)
WRONG_RATE = Failure("wrong bit rate", location=_IN_IDENTIFIER)
COLLISION = Failure("two senders of one identifier")
DESTROYED = Failure("destroyed on purpose")
SENDER_GONE = Failure("sender detached")


@dataclass(eq=False, slots=True)
class Transmission:
    """``senders`` won the bus: one, or several that send the same identifier at the same time.

    ``bits`` is what it occupies without the intermission, error frame included; ``end`` the time of their end.
    ``given_up`` are error-passive senders that lost against another frame with the same identifier.
    """

    senders: list[Station]
    begun: float
    frame: Frame
    given_up: list[Station] = field(default_factory=list)
    failure: Failure | None = None
    bits: int = 0
    end: float = 0.0


def judge(
    tx: Transmission, stations: Sequence[Station], bit_rate: int | None, is_destroyed: Callable[[Transmission], bool]
) -> None:
    """Set ``failure`` and ``bits``. ``bit_rate`` is the bus's; ``is_destroyed`` says whether a fault hits the frame."""
    collision = _collide(tx) if len(tx.senders) > 1 else None
    length = frame_bits(tx.frame)
    sender = tx.senders[0]
    if _is_disturbed(tx, stations):
        tx.failure, broken_at = WRONG_RATE, arbitration_bits(tx.frame)
    elif collision is not None:
        tx.failure, broken_at = COLLISION, collision
    elif is_destroyed(tx):
        tx.failure, broken_at = DESTROYED, length // 2
    elif not _is_acknowledged(tx, stations):
        tx.failure, broken_at = NOT_ACKNOWLEDGED, length - _AFTER_ACK_BITS
    else:
        tx.bits = length
        return
    echoed = any(s.acknowledges and not s.passive and not s.bus_off and s is not sender for s in stations)
    if bit_rate and sender.bit_rate and sender.bit_rate != bit_rate:
        broken_at = math.ceil(broken_at * bit_rate / sender.bit_rate)
    tx.bits = broken_at + _FLAG_BITS * (2 if echoed else 1) + _DELIMITER_BITS


def _collide(tx: Transmission) -> int | None:
    """Several send the same identifier: after how many bits they notice; None if what goes on is one good frame.

    Who sends a recessive bit and sees a dominant one has an error. If it is error-passive it can only give up, and
    the others never notice.
    """
    while len({(s.queue[0][1].dlc, s.queue[0][1].data) for s in tx.senders}) > 1:
        streams = [wire_bits(station.queue[0][1]) for station in tx.senders]
        place = next(n for n, bits in enumerate(zip(*streams, strict=False)) if len(set(bits)) > 1)
        beaten = [station for station, bits in zip(tx.senders, streams, strict=True) if bits[place] == "1"]
        if not all(station.passive for station in beaten):
            return place + 1
        tx.given_up += beaten
        tx.senders = [station for station in tx.senders if station not in beaten]
        tx.frame = tx.senders[0].queue[0][1]
    return None


def _is_disturbed(tx: Transmission, stations: Sequence[Station]) -> bool:
    """Does an error-active station that knows another bit rate answer with an error flag?"""
    rate = tx.senders[0].bit_rate
    for station in stations:
        if station.bit_rate != rate and (
            station in tx.senders or not (station.listen_only or station.bus_off or station.passive)
        ):
            return True
    return False


def _is_acknowledged(tx: Transmission, stations: Sequence[Station]) -> bool:
    """Is there another station that understands the frame and may say so?"""
    busy, rate = (*tx.senders, *tx.given_up), tx.senders[0].bit_rate
    for station in stations:
        if station.acknowledges and not station.bus_off and station.bit_rate == rate and station not in busy:
            return True
    return False
