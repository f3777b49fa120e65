"""What the Linux kernel says about a network interface: the question and its answer (rtnetlink, linux/can/netlink.h).

The answer has the shape and the names of ``ip -json -details -statistics link show``, without what has nothing to do
with CAN; that program itself is not needed.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from typing import Any

_GET_LINK, _NEW_LINK, _ERROR = 18, 16, 2
_REQUEST = 1
_HEADER = struct.Struct("=IHHII")
#: Family, hardware type, number, flags, changed flags.
_INTERFACE = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
#: Of an attribute's type; above are flags.
_TYPE_MASK = 0x3FFF

_NAME, _MTU, _TX_QUEUE, _STATE, _LINK_INFO, _STATS, _DEVICE, _BUS = 3, 4, 13, 16, 18, 23, 56, 57
_KIND, _DATA, _DEVICE_STATS = 1, 2, 3
_TIMING, _TIMING_CONST, _CLOCK, _CAN_STATE, _MODE, _RESTART_MS = 1, 2, 3, 4, 5, 6
_COUNTERS, _DATA_TIMING, _DATA_TIMING_CONST, _TERMINATION = 8, 9, 10, 11


def _names(text: str) -> tuple[str, ...]:
    return tuple(text.split())


_OPERSTATES = _names("UNKNOWN NOTPRESENT DOWN LOWERLAYERDOWN TESTING DORMANT UP")
_CAN_STATES = _names("ERROR-ACTIVE ERROR-WARNING ERROR-PASSIVE BUS-OFF STOPPED SLEEPING")
_CAN_MODES = _names(
    "LOOPBACK LISTEN-ONLY TRIPLE-SAMPLING ONE-SHOT BERR-REPORTING FD PRESUME-ACK FD-NON-ISO CC-LEN8-DLC TDC-AUTO "
    "TDC-MANUAL"
)
_TIMING_FIELDS = _names("bitrate sample_point tq prop_seg phase_seg1 phase_seg2 sjw brp")
_DEVICE_FIELDS = _names("bus_error error_warning error_passive bus_off arbitration_lost restarts")
#: struct rtnl_link_stats64
_STATS_FIELDS = _names(
    "rx.packets tx.packets rx.bytes tx.bytes rx.errors tx.errors rx.dropped tx.dropped rx.multicast tx.collisions "
    "rx.length_errors rx.over_errors rx.crc_errors rx.frame_errors rx.fifo_errors rx.missed_errors "
    "tx.aborted_errors tx.carrier_errors tx.fifo_errors tx.heartbeat_errors tx.window_errors"
)


class NoAnswer(ValueError):
    """``number`` is the kernel's errno, 0 for an answer that is none."""

    def __init__(self, reason: str, number: int = 0) -> None:
        super().__init__(reason)
        self.number = number


def link_request(name: str, sequence: int) -> bytes:
    """RTM_GETLINK for the interface of that name."""
    text = name.encode() + b"\0"
    attribute = _ATTRIBUTE.pack(_ATTRIBUTE.size + len(text), _NAME) + text + bytes(-len(text) % 4)
    size = _HEADER.size + _INTERFACE.size + len(attribute)
    return _HEADER.pack(size, _GET_LINK, _REQUEST, sequence, 0) + _INTERFACE.pack(0, 0, 0, 0, 0) + attribute


def read_link(data: bytes) -> dict[str, Any]:
    """Raise NoAnswer for an error message and for what is not an answer to `link_request`."""
    if len(data) < _HEADER.size:
        raise NoAnswer(f"{len(data)} bytes are no netlink message")
    size, kind, *_ = _HEADER.unpack_from(data)
    if kind == _ERROR and len(data) >= _HEADER.size + 4:
        number = -struct.unpack_from("=i", data, _HEADER.size)[0]
        raise NoAnswer(os.strerror(number), number)
    if kind != _NEW_LINK or size > len(data) or size < _HEADER.size + _INTERFACE.size:
        raise NoAnswer(f"a netlink message of type {kind} and {len(data)} bytes is no answer about a link")
    found: dict[str, Any] = {"ifindex": _INTERFACE.unpack_from(data, _HEADER.size)[2]}
    for attribute, value in _attributes(data[_HEADER.size + _INTERFACE.size : size]):
        _general(found, attribute, value)
    return found


def _attributes(data: bytes) -> Iterator[tuple[int, bytes]]:
    """What is cut off is left out."""
    at = 0
    while at + _ATTRIBUTE.size <= len(data):
        size, kind = _ATTRIBUTE.unpack_from(data, at)
        if size < _ATTRIBUTE.size or at + size > len(data):
            return
        yield kind & _TYPE_MASK, data[at + _ATTRIBUTE.size : at + size]
        at += (size + 3) & ~3


def _general(found: dict[str, Any], attribute: int, value: bytes) -> None:
    texts = {_NAME: "ifname", _DEVICE: "parentdev", _BUS: "parentbus"}
    numbers = {_MTU: "mtu", _TX_QUEUE: "txqlen"}
    if attribute in texts:
        found[texts[attribute]] = _text(value)
    elif attribute in numbers and len(value) >= 4:
        found[numbers[attribute]] = _numbers(value)[0]
    elif attribute == _STATE and value:
        found["operstate"] = _named(_OPERSTATES, value[0])
    elif attribute == _STATS:
        found["stats64"] = _statistics(value)
    elif attribute == _LINK_INFO:
        found["linkinfo"] = _link_info(value)


def _link_info(data: bytes) -> dict[str, Any]:
    parts = dict(_attributes(data))
    info: dict[str, Any] = {"info_kind": _text(parts.get(_KIND, b""))}
    if info["info_kind"] != "can":
        return info  # the other kinds number their attributes otherwise
    info["info_data"] = _can_data(dict(_attributes(parts.get(_DATA, b""))))
    if _DEVICE_STATS in parts:
        info["info_xstats"] = dict(zip(_DEVICE_FIELDS, _numbers(parts[_DEVICE_STATS]), strict=False))
    return info


def _can_data(parts: dict[int, bytes]) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for attribute, name in ((_TIMING, "bittiming"), (_DATA_TIMING, "data_bittiming")):
        if len(parts.get(attribute, b"")) >= 32:
            timing: dict[str, Any] = dict(zip(_TIMING_FIELDS, _numbers(parts[attribute]), strict=False))
            timing["sample_point"] = f"{timing['sample_point'] / 1000:.3f}"  # as ip has it
            data[name] = timing
    for attribute, name in ((_TIMING_CONST, "bittiming_const"), (_DATA_TIMING_CONST, "data_bittiming_const")):
        if len(parts.get(attribute, b"")) >= 48:
            data[name] = _limits(parts[attribute])
    for attribute, name in ((_CLOCK, "clock"), (_RESTART_MS, "restart_ms")):
        if len(parts.get(attribute, b"")) >= 4:
            data[name] = _numbers(parts[attribute])[0]
    if len(parts.get(_CAN_STATE, b"")) >= 4:
        data["state"] = _named(_CAN_STATES, _numbers(parts[_CAN_STATE])[0])
    if len(parts.get(_MODE, b"")) >= 8:
        flags = _numbers(parts[_MODE])[1]
        data["ctrlmode"] = [mode for bit, mode in enumerate(_CAN_MODES) if flags >> bit & 1]
    if len(parts.get(_COUNTERS, b"")) >= 4:
        data["berr_counter"] = dict(zip(("tx", "rx"), struct.unpack_from("=HH", parts[_COUNTERS]), strict=True))
    if len(parts.get(_TERMINATION, b"")) >= 2:
        data["termination"] = struct.unpack_from("=H", parts[_TERMINATION])[0]
    return data


def _limits(value: bytes) -> dict[str, Any]:
    tseg1_min, tseg1_max, tseg2_min, tseg2_max, sjw_max, brp_min, brp_max, brp_inc = struct.unpack_from(
        "=8I", value, 16
    )
    return {
        "name": _text(value[:16]),
        "tseg1": {"min": tseg1_min, "max": tseg1_max},
        "tseg2": {"min": tseg2_min, "max": tseg2_max},
        "sjw": {"min": 1, "max": sjw_max},
        "brp": {"min": brp_min, "max": brp_max},
        "brp_inc": brp_inc,
    }


def _statistics(value: bytes) -> dict[str, dict[str, int]]:
    counted: dict[str, dict[str, int]] = {"rx": {}, "tx": {}}
    for name, (number,) in zip(_STATS_FIELDS, struct.iter_unpack("=Q", value[: len(value) & ~7]), strict=False):
        way, _, what = name.partition(".")
        counted[way][what] = number
    return counted


def _numbers(value: bytes) -> tuple[int, ...]:
    return struct.unpack_from(f"={len(value) // 4}I", value)


def _text(value: bytes) -> str:
    return value.partition(b"\0")[0].decode("utf-8", "replace")


def _named(names: tuple[str, ...], number: int) -> str:
    return names[number] if number < len(names) else str(number)
