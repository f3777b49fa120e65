"""The doctor: climbs from the adapter to the objects of a node, and stops where the first rung is broken.

A plan (`opendiag.services.plans`): it needs a runner, and a `BusWatch` that the same runner feeds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opendiag.diagnose import bus_causes, codes, node_causes, node_checks
from opendiag.diagnose.error_tally import CODING
from opendiag.diagnose.report import Report, Step
from opendiag.diagnose.situation import AdapterFacts, Situation, listed, seconds
from opendiag.diagnose.watch import BusWatch
from opendiag.diagnose.why import why_no_answer
from opendiag.errors import AdapterError, SendFailed
from opendiag.findings import Finding, Severity
from opendiag.services.plans import Now, Plan, Send, Sleep
from opendiag.services.sdo_channel import SdoChannel
from opendiag.wire.sdo import UploadInitiate

_CHUNK = 16
_RUNGS = ("adapter", "bus", "bit rate", "nodes", "node", "SDO", "health")


def doctor(
    node_id: int | None,
    watch: BusWatch,
    adapter: Callable[[], AdapterFacts],
    *,
    channel: SdoChannel | None = None,
    probe: bool | None = None,
    listen_s: float = 1.0,
    timeout_s: float = 0.5,
    probe_wait_s: float = 0.1,
) -> Plan[Report]:
    """Check the way to a node, or without ``node_id`` to the only node there is.

    ``adapter`` is asked again whenever its facts matter. ``probe`` True asks every node-ID for 1000:00, False never
    does, None only when the node was not heard. Raises ValueError outside 1..127.
    """
    if node_id is not None and not 1 <= node_id <= 127:
        raise ValueError(f"node-ID {node_id} is outside 1..127")
    climb = _Climb(node_id, watch, adapter, channel, timeout_s)
    rungs = (
        climb.adapter_step,
        lambda: climb.bus_step(listen_s),
        climb.bit_rate_step,
        lambda: climb.nodes_step(probe, probe_wait_s),
        climb.node_step,
        climb.sdo_step,
        climb.health_step,
    )
    steps: list[Step] = []
    for rung in rungs:
        step = yield from rung()
        steps.append(step)
        if step.ok is False:
            break
    broken = steps[-1].name
    steps += [Step(name, None, f"not checked: the {broken} step failed") for name in _RUNGS[len(steps) :]]
    return Report(climb.node_id, tuple(steps), tuple(node.node_id for node in watch.heard_nodes()))


class _Climb:
    def __init__(
        self,
        node_id: int | None,
        watch: BusWatch,
        adapter: Callable[[], AdapterFacts],
        channel: SdoChannel | None,
        timeout_s: float,
    ) -> None:
        self.node_id = node_id
        self.watch = watch
        self.adapter = adapter
        self.timeout_s = timeout_s
        self._channel = channel

    @property
    def channel(self) -> SdoChannel:
        """Of the node; of node 1 while there is none, where only the bus matters."""
        if self._channel is not None:
            return self._channel
        return SdoChannel.default(self.node_id or 1)

    def situation(self, asked_at: float, now: float) -> Situation:
        return Situation(self.watch, self.channel, 0x1000, 0, asked_at, now, self.adapter())

    def why(self, asked_at: float, now: float) -> tuple[Finding, ...]:
        return why_no_answer(self.watch, self.channel, 0x1000, 0, asked_at, now, self.adapter())

    # --- the way to the bus ---

    def adapter_step(self) -> Plan[Step]:
        now = yield Now()
        if self.watch.started_at is None:  # it listens from now on, heard or not
            self.watch.started_at = now
        s = self.situation(now, now)
        off = bus_causes.bus_off(s)
        found = _found(bus_causes.listen_only(s), node_causes.other_master(s) if off else None, off)
        if found and found[0] is off and bus_causes.bit_rate(s) is not None:
            return Step("adapter", None, off.sentence)  # a consequence, and the bit rate has its own rung
        if found:
            return _broken("adapter", found)
        state = f", {s.adapter.bus_state}" if s.adapter.bus_state else ""
        name = s.adapter.name or "the adapter"
        return Step("adapter", True, f"{name} is open{s.at_bit_rate}{state}.")

    def bus_step(self, listen_s: float) -> Plan[Step]:
        before, started = self.watch.frames, (yield Now())
        yield Sleep(listen_s)
        s = self.situation(started, (yield Now()))
        count = self.watch.frames - before
        if count:
            return Step("bus", True, f"{count} frame{'s' if count > 1 else ''} in {seconds(listen_s)}.")
        off = bus_causes.bus_off(s)
        if off is not None and not s.unreadable:
            return _broken("bus", (off,))
        if s.not_acknowledged and not s.unreadable and (empty := bus_causes.bus_empty(s)) is not None:
            return _broken("bus", (empty,))
        if s.unreadable:
            return Step("bus", None, f"Something is on the bus, but no valid frame came in {seconds(listen_s)}.")
        return Step(
            "bus",
            None,
            f"Nothing was heard in {seconds(listen_s)}. Nodes without a heartbeat say nothing by themselves.",
        )

    def bit_rate_step(self) -> Plan[Step]:
        now = yield Now()
        s = self.situation(now, now)
        wrong = bus_causes.bit_rate(s)
        if wrong is not None:
            return _broken("bit rate", _found(wrong, bus_causes.bus_off(s)))
        if self.watch.last_at is None:
            return Step("bit rate", None, "Without a frame on the bus nothing can be said of the bit rate.")
        errors = self.watch.errors
        # Whoever joins a running bus sees half a frame, and its own start disturbs: that is before the first one.
        if not errors.seen_since(max(s.since, self.watch.first_at or 0.0), *CODING):
            return Step("bit rate", True, f"Frames come without errors{s.at_bit_rate}.")
        text = errors.text(*CODING)
        disturbed = Finding(
            codes.BUS_DISTURBED,
            Severity.WARNING,
            f"Frames are read, but there are errors as well: {text}.",
            advice="Check the terminations, the length of stubs and the ground; one device may have another bit rate.",
        )
        return Step("bit rate", True, f"Frames are read{s.at_bit_rate}, with errors in between.", (disturbed,))

    # --- who is there ---

    def nodes_step(self, probe: bool | None, wait_s: float) -> Plan[Step]:
        started = yield Now()
        heard = self.watch.heard_nodes()
        wanted = [node for node in heard if self.node_id in (None, node.node_id)]
        if probe or (probe is None and not wanted):
            try:
                yield from self._probe(wait_s)
            except AdapterError as error:
                return self._no_probe(error, started, (yield Now()))
            heard = self.watch.heard_nodes()
        now = yield Now()
        if self.node_id is None:
            return self._choose(started, now)
        there = any(node.node_id == self.node_id for node in heard)
        if not there and probe is not False:
            return _broken("nodes", self.why(started, now))
        who = listed(heard) if heard else "none"
        return Step("nodes", True if there else None, f"Heard: {who}.")

    def _choose(self, started: float, now: float) -> Step:
        """Nobody said which node: take the only one."""
        heard = self.watch.heard_nodes()
        if len(heard) == 1:
            self.node_id = heard[0].node_id
            return Step("nodes", True, f"Heard: {listed(heard)}.")
        if heard:
            return Step("nodes", True, f"Heard: {listed(heard)}. Say which of them to look at.")
        s = self.situation(started, now)
        found = _found(bus_causes.bit_rate(s), bus_causes.bus_off(s), bus_causes.bus_empty(s), bus_causes.not_sent(s))
        return Step("nodes", False, found[0].sentence if found else "No node was heard and none answers.", found)

    def _no_probe(self, error: AdapterError, started: float, now: float) -> Step:
        if not isinstance(error, SendFailed):
            raise error
        if not any(at >= started for at, _ in self.watch.send_failures):
            self.watch.send_failed(error.reason, now)
        s = self.situation(started, now)
        found = _found(bus_causes.bit_rate(s), bus_causes.bus_off(s), bus_causes.bus_empty(s), bus_causes.not_sent(s))
        return _broken("nodes", found) if found else Step("nodes", False, f"{error}.")

    def _probe(self, wait_s: float) -> Plan[None]:
        """Ask every node-ID that was not heard for its device type, a few at a time."""
        known = {node.node_id for node in self.watch.heard_nodes()}
        asked = [n for n in range(1, 128) if n not in known]
        if self.node_id in asked:  # first, so that the bus is found empty after one chunk
            asked.remove(self.node_id)
            asked.insert(0, self.node_id)
        request = UploadInitiate(0x1000, 0).encode()
        started = yield Now()
        for first in range(0, len(asked), _CHUNK):
            for node_id in asked[first : first + _CHUNK]:
                channel = self.channel if node_id == self.node_id else SdoChannel.default(node_id)
                yield Send(channel.request(request))
            yield Sleep(wait_s)
            if self.situation(started, (yield Now())).not_acknowledged:
                return  # more requests would only fill the queue

    # --- the node ---

    def node_step(self) -> Plan[Step]:
        if self.node_id is None:
            return Step("node", None, "not checked: no node was chosen")
        now = yield Now()
        return node_checks.node_step(self.situation(now, now))

    def sdo_step(self) -> Plan[Step]:
        if self.node_id is None:
            return Step("SDO", None, "not checked: no node was chosen")
        return (yield from node_checks.sdo_step(self.channel, self.watch, self.timeout_s, self.why))

    def health_step(self) -> Plan[Step]:
        now = yield Now()
        return node_checks.health_step(self.situation(now, now), self.node_id)


def _found(*findings: Finding | None) -> tuple[Finding, ...]:
    return tuple(finding for finding in findings if finding is not None)


def _broken(name: str, findings: Iterable[Finding]) -> Step:
    found = tuple(findings)
    return Step(name, False, found[0].sentence, found)


__all__ = ["AdapterFacts", "Report", "Step", "doctor"]
