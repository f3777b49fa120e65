"""What an adapter's error frames say about the state of its controller. The layout is that of Linux (can/error.h)."""

from __future__ import annotations

from dataclasses import dataclass

from opendiag.frame import Frame

_CONTROLLER, _BUS_OFF, _RESTARTED, _COUNTERS = 0x004, 0x040, 0x100, 0x200
_CLASSES = {
    0x001: "tx-timeout",
    0x002: "arbitration-lost",
    _CONTROLLER: "controller",
    0x008: "protocol",
    0x010: "transceiver",
    0x020: "no-ack",
    _BUS_OFF: "bus-off",
    0x080: "bus-error",
    _RESTARTED: "restarted",
    _COUNTERS: "counters",
}
_RX_OVERFLOW, _TX_OVERFLOW, _WARNING, _PASSIVE, _ACTIVE = 0x01, 0x02, 0x0C, 0x30, 0x40


@dataclass(frozen=True, slots=True)
class ErrorNews:
    """What an error frame says about its channel; None: nothing about that.

    ``classes`` are those of Linux, in words: "tx-timeout", "arbitration-lost", "controller", "protocol",
    "transceiver", "no-ack", "bus-off", "bus-error", "restarted", "counters".
    """

    state: str | None
    tx_errors: int | None
    rx_errors: int | None
    bus_off: bool
    restarted: bool
    rx_overflow: bool
    tx_overflow: bool
    classes: tuple[str, ...]


def describe_error(frame: Frame) -> ErrorNews:
    """Every bit for itself: older firmware of candleLight mixes classes as Linux never does."""
    bits = frame.can_id
    data = frame.data.ljust(8, b"\0")
    controller = data[1] if bits & _CONTROLLER else 0
    tx_errors: int | None = data[6]
    rx_errors: int | None = data[7]
    if not bits & _COUNTERS and not (tx_errors or rx_errors):
        # Before there was a bit for them the counters were simply there, and 0 may mean that they are not.
        tx_errors = rx_errors = None
    return ErrorNews(
        state=_state(bits, controller, max(data[6], data[7])),
        tx_errors=tx_errors,
        rx_errors=rx_errors,
        bus_off=bool(bits & _BUS_OFF),
        restarted=bool(bits & _RESTARTED),
        rx_overflow=bool(controller & _RX_OVERFLOW),
        tx_overflow=bool(controller & _TX_OVERFLOW),
        classes=tuple(name for bit, name in _CLASSES.items() if bits & bit),
    )


def _state(bits: int, controller: int, errors: int) -> str | None:
    if bits & _RESTARTED:
        return "error-active"
    if bits & _BUS_OFF:
        return "bus-off"
    if controller & _PASSIVE:
        return "error-passive"
    if controller & _WARNING:
        return "error-warning"
    if controller & _ACTIVE:
        return "error-active"
    if bits & _CONTROLLER and not controller:
        # A change of state without its name. ISO 11898-1: passive from 128 errors on; the warning is at 96.
        return "error-passive" if errors >= 128 else "error-warning" if errors >= 96 else "error-active"
    return None
