"""Causes of a missing answer that lie between us and the bus. Each function gives its finding, or None."""

from __future__ import annotations

from opendiag.diagnose import codes
from opendiag.diagnose.error_tally import CODING, BusError
from opendiag.diagnose.situation import Situation, seconds
from opendiag.findings import Finding, Severity

_WIRES = "the wires CAN_H and CAN_L and the two 120 ohm terminations (about 60 ohm between the wires without power)"
#: Longer than the period of a usual heartbeat.
_LONG_LISTENING_S = 5.0


def listen_only(s: Situation) -> Finding | None:
    """The adapter must not send."""
    if not s.adapter.listen_only:
        return None
    name = s.adapter.name or "the adapter"
    return _finding(
        codes.LISTEN_ONLY,
        f"{_upper(name)} is in listen-only mode: no request left it, and it acknowledges nothing.",
        "Open the adapter without listen-only to talk to the node. To decode what others ask, just watch.",
    )


def bit_rate(s: Situation) -> Finding | None:
    """There is traffic, but no frame of it can be read."""
    if s.heard_recently or not s.unreadable:
        return None
    seen = s.watch.errors.text(*CODING, BusError.RX_PASSIVE)
    if not seen:
        seen = f"receive error counter {s.adapter.rx_errors}"
    if s.watch.last_at is None:
        sentence = f"No valid frame was read on {s.bus_name} in {seconds(s.listened_s)}, only errors ({seen})"
        sentence += ": the bit rate is likely not that of the bus."
    else:
        sentence = f"Frames were read on {s.bus_name} until {s.ago(s.watch.last_at)}, since then only errors ({seen})"
        sentence += ": a device with another bit rate has joined, or the line is disturbed."
    others = "1M, 500k, 250k and 125k" if s.adapter.bit_rate is None else _other_rates(s.adapter.bit_rate)
    return _finding(
        codes.BIT_RATE,
        sentence,
        f"Listen at {others} (listen-only, so that nothing is disturbed). Errors at every rate: check {_WIRES}.",
    )


def bus_off(s: Situation) -> Finding | None:
    """The controller has left the bus."""
    state = (s.adapter.bus_state or "").lower().replace("_", "-").replace(" ", "-")
    tally = s.watch.errors.by_kind.get(BusError.BUS_OFF)
    if s.adapter.bus_state:
        is_off = "bus-off" in state
    else:
        heard_at = s.watch.last_at
        is_off = s.watch.errors.is_bus_off and tally is not None and (heard_at is None or heard_at <= tally.last_at)
    if not is_off:
        return None
    when = f" {s.ago(tally.last_at)}" if tally is not None else ""
    return _finding(
        codes.BUS_OFF,
        f"The controller of {s.adapter.name or 'the adapter'} went bus-off{when}: too many of its own frames failed, "
        "and it has left the bus. It sends and receives nothing.",
        f"Find what disturbs its frames: another bit rate, or {_WIRES}. Then close and open the adapter.",
        _counters(s),
    )


def bus_empty(s: Situation) -> Finding | None:
    """Nobody is there: nothing is heard, and nothing is acknowledged."""
    watch = s.watch
    if s.confirmed or s.heard_recently:
        return None
    if watch.last_at is not None and not (s.not_acknowledged or s.fell_silent):
        return None
    if watch.last_at is None:
        sentence = f"Nothing was heard on {s.bus_name} in {seconds(s.listened_s)}"
    else:
        sentence = f"{_upper(s.bus_name)} was alive until {s.ago(watch.last_at)}, and all of it has fallen silent"
    if s.not_acknowledged:
        sentence += ", and nobody acknowledges what we send"
    advice = f"Check the power of the devices, the plug and the channel of the adapter, the bit rate, and {_WIRES}."
    if not s.not_acknowledged:
        advice += " This adapter reported no missing acknowledge, so a bus whose nodes say nothing by themselves "
        advice += "would look the same: check the node-ID as well."
    sure = s.not_acknowledged or s.listened_s >= _LONG_LISTENING_S
    verdict = "no other device is on the bus, or it has no power"
    return _finding(
        codes.BUS_EMPTY,
        f"{sentence}: {verdict}." if sure else f"{sentence}: {verdict}, or none has said anything in this short time.",
        advice,
        _counters(s),
    )


def not_sent(s: Situation) -> Finding | None:
    """The request did not get onto the bus."""
    failures = [failure for failure in s.watch.send_failures if failure[0] >= s.asked_at]
    if s.confirmed or not (failures or s.adapter.sent_ok is False or s.not_acknowledged):
        return None
    if failures:
        sentence = f"The adapter did not send the request: {failures[-1][1].rstrip('.')}"
        sentence += f" ({s.watch.send_failure_count} frames so far)." if s.watch.send_failure_count > 1 else "."
    elif s.not_acknowledged:
        sentence = "The request was not acknowledged, so it never got onto the bus."
    else:
        sentence = "The request never got onto the bus: it is still waiting in the adapter, or was given up there."
    if s.heard_recently:
        sentence += f" Frames do come in ({s.watch.frames} so far)."
        advice = "We hear the others and nobody acknowledges us: check whether they are in listen-only mode, whether "
        advice += "the bus is full, and the transmitter and transceiver of the adapter."
    else:
        advice = "A full transmit queue usually means that nobody acknowledges: check the power of the devices and "
        advice += f"{_WIRES}. Otherwise close and open the adapter, and see whether its interface is up."
    return _finding(codes.NOT_SENT, sentence, advice, _counters(s))


def _finding(code: str, sentence: str, advice: str, evidence: str = "") -> Finding:
    return Finding(code, Severity.ERROR, sentence, evidence=evidence, advice=advice)


def _counters(s: Situation) -> str:
    errors = s.watch.errors
    tx = s.adapter.tx_errors if s.adapter.tx_errors is not None else errors.tx_errors
    rx = s.adapter.rx_errors if s.adapter.rx_errors is not None else errors.rx_errors
    parts = [errors.text(*errors.by_kind)] if errors.by_kind else []
    if tx is not None and rx is not None:
        parts.append(f"error counters: transmit {tx}, receive {rx}")
    return "; ".join(parts)


def _other_rates(bit_rate: int) -> str:
    rates = [f"{rate // 1000}k" for rate in (1_000_000, 500_000, 250_000, 125_000) if rate != bit_rate]
    return f"{', '.join(rates[:-1])} and {rates[-1]}".replace("1000k", "1M")


def _upper(text: str) -> str:
    """The bus has a name as the user wrote it; only our own words begin with a capital letter."""
    return f"T{text[1:]}" if text.startswith("the ") else text
