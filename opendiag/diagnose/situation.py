"""One question, "why did this node not answer?", with everything that is known to answer it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

from opendiag.diagnose.error_tally import CODING, BusError
from opendiag.diagnose.heard import NodeHeard
from opendiag.diagnose.sdo_watch import ChannelFacts
from opendiag.diagnose.watch import BusWatch
from opendiag.services.sdo_channel import SdoChannel

#: What happened this long before the request still belongs to it.
RECENT_S = 2.0
#: A producer that missed so many heartbeats has fallen silent.
_MISSED_BEATS = 3
#: A controller that is not acknowledged sends again within milliseconds.
_BETWEEN_TRIES_S = 0.05


@dataclass(frozen=True, slots=True)
class AdapterFacts:
    """What the adapter says of itself; None where it does not tell.

    ``sent_ok``: the request was acknowledged on the bus (True), or could not be sent (False). An adapter that only
    queues frames knows neither. ``bus_state`` is error-active, error-passive or bus-off. ``bit_rate`` is in bit/s.
    """

    listen_only: bool = False
    sent_ok: bool | None = None
    bus_state: str | None = None
    bit_rate: int | None = None
    name: str = ""
    tx_errors: int | None = None
    rx_errors: int | None = None


@dataclass(frozen=True)
class Situation:
    """``index`` and ``subindex`` are of the object asked for at ``asked_at``; it is ``now``, in monotonic seconds."""

    watch: BusWatch
    channel: SdoChannel
    index: int
    subindex: int
    asked_at: float
    now: float
    adapter: AdapterFacts

    # --- the bus ---

    @property
    def since(self) -> float:
        """From here on what happened belongs to the request."""
        return self.asked_at - RECENT_S

    @property
    def bus_name(self) -> str:
        """The adapter and its bit rate, as in "can0 at 500 kbit/s"."""
        return f"{self.adapter.name or 'the bus'}{self.at_bit_rate}"

    @property
    def at_bit_rate(self) -> str:
        """As in " at 500 kbit/s", empty when it is not known."""
        rate = self.adapter.bit_rate
        return f" at {rate / 1000:g} kbit/s" if rate else ""

    @property
    def listened_s(self) -> float:
        """How long the bus has been listened to."""
        started = self.watch.started_at
        return self.now - started if started is not None else 0.0

    @property
    def heard_recently(self) -> bool:
        """A valid frame of somebody else came since shortly before the request."""
        return self.watch.last_at is not None and self.watch.last_at >= self.since

    @property
    def confirmed(self) -> bool:
        """Somebody acknowledged the request."""
        asked = self.facts.asked_at is not None and self.facts.asked_at >= self.asked_at
        return (asked and self.adapter.sent_ok is True) or self.watch.confirmed_since(self.channel, self.asked_at)

    @property
    def not_acknowledged(self) -> bool:
        """The controller misses acknowledges, or counts transmit errors as it does then."""
        errors, last_at = self.watch.errors, self.watch.last_at
        if self.confirmed:
            return False
        if self.heard_recently and last_at is not None:  # it tries again at once, so the errors do not end
            return errors.seen_since(max(self.asked_at, last_at - _BETWEEN_TRIES_S), BusError.ACK)
        return errors.seen_since(self.error_window, BusError.ACK, BusError.TX_PASSIVE)

    @property
    def unreadable(self) -> bool:
        """Bits were on the bus that made no frame. Counters and states count, as many drivers report no more."""
        errors, rx = self.watch.errors, self.adapter.rx_errors
        return errors.seen_since(self.error_window, *CODING, BusError.RX_PASSIVE) or (rx is not None and rx >= 96)

    @property
    def error_window(self) -> float:
        """Errors since then count: all of them on a bus where no frame was ever read."""
        return self.since if self.watch.frames else float("-inf")

    @property
    def fell_silent(self) -> bool:
        """Other nodes sent heartbeats, and now there is nothing at all."""
        last_at = self.watch.last_at
        others = (node for node in self.watch.nodes.values() if node.node_id != self.node_id)
        periods = [node.heartbeat_s for node in others if node.heartbeat_s is not None]
        if last_at is None or not periods:
            return False
        return self.now - last_at > max(RECENT_S, _MISSED_BEATS * min(periods))

    # --- the node ---

    @property
    def node_id(self) -> int:
        return self.channel.node_id

    @cached_property
    def node(self) -> NodeHeard:
        return self.watch.node(self.channel.node_id)

    @cached_property
    def facts(self) -> ChannelFacts:
        return self.watch.uses(self.channel)

    @property
    def heard_at(self) -> float | None:
        return self.node.last_at

    @property
    def alive(self) -> bool:
        """Heard since shortly before the request, or its next heartbeat is not overdue."""
        if self.heard_at is None:
            return False
        period = self.node.heartbeat_s
        patience = RECENT_S if period is None else max(RECENT_S, _MISSED_BEATS * period)
        return self.heard_at >= self.asked_at - RECENT_S or self.now - self.heard_at <= patience

    @property
    def beats_missing(self) -> bool:
        """It sent heartbeats regularly and has stopped to."""
        return self.node.heartbeat_s is not None and not self.alive

    @cached_property
    def others(self) -> list[NodeHeard]:
        """The other nodes that were heard within the last minute, or since the request."""
        since = min(self.asked_at, self.now - 60.0)
        return [node for node in self.watch.heard_nodes(since) if node.node_id != self.node_id]

    @cached_property
    def strangers(self) -> list[NodeHeard]:
        """Those of them that the user does not work with."""
        return [node for node in self.others if node.node_id not in self.watch.expected_nodes]

    # --- words ---

    @property
    def object(self) -> str:
        return f"{self.index:04X}:{self.subindex:02X}"

    def ago(self, at: float) -> str:
        """As in "12.3 s ago"."""
        return f"{seconds(self.now - at)} ago"


def seconds(value: float) -> str:
    """As in "12.3 s" or "45 ms"."""
    if value < 0.095:
        return f"{value * 1000:.2g} ms"
    return f"{value:.1f} s" if value < 120 else f"{value / 60:.0f} min"


def listed(nodes: list[NodeHeard]) -> str:
    """As in "node 7 (heartbeat, OPERATIONAL) and node 9 (TPDO1)"; of many only the first few."""
    shown = [f"node {node.node_id} ({node.service})" for node in nodes[:5]]
    if len(nodes) > 5:
        shown.append(f"{len(nodes) - 5} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
