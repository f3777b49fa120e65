"""The doctor's upper rungs: the node's state, its first objects, and how well it all runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from opendiag.diagnose import bus_causes, codes, node_causes
from opendiag.diagnose.error_tally import BusError
from opendiag.diagnose.report import Step
from opendiag.diagnose.situation import Situation, seconds
from opendiag.diagnose.watch import BusWatch
from opendiag.errors import AdapterError, SdoAborted, SdoError, SdoTimeout
from opendiag.findings import Finding, Severity
from opendiag.frame import Frame
from opendiag.services.plans import Now, Plan, SdoRead, Send, Sleep, WaitFor
from opendiag.services.sdo_channel import SdoChannel
from opendiag.wire.emcy import error_register_names
from opendiag.wire.nmt import NmtState
from opendiag.wire.sdo import UploadInitiate

Why = Callable[[float, float], tuple[Finding, ...]]
#: An answer after so many more time-outs is still one.
_PATIENCE = 3
#: More boot-ups than the one at power-on.
_MANY_BOOT_UPS = 2
#: A second device answers about as fast as the first one.
_SECOND_ANSWER_S = 0.1
#: Of two devices heartbeats come twice as often. A change of state may send one early.
_TOO_OFTEN, _ENOUGH_BEATS = 0.7, 3
_APART = "Disconnect one of them and give the other one another node-ID. A gateway that repeats frames does the same."
#: index, subindex, name
_OBJECTS = (
    (0x1018, 1, "vendor"),
    (0x1018, 2, "product"),
    (0x1001, 0, "error register"),
    (0x1008, 0, "name"),
)


def node_step(s: Situation) -> Step:
    """State, heartbeat and boot-ups, as the bus tells them."""
    node = s.node
    stopped = node_causes.node_stopped(s)
    server = s.watch.sdo.server(s.node_id, s.channel.number)
    told = server is not None and server.source == "traffic"  # a file may be out of date: ask first
    disabled = node_causes.channel_disabled(s) if told else None
    findings = tuple(finding for finding in (stopped, disabled) if finding is not None)
    if findings:
        return Step("node", False, findings[0].sentence, findings)
    if node.boot_up_count >= _MANY_BOOT_UPS:
        findings = (_reboots(s),)
    if s.beats_missing:
        absent = (bus_causes.bus_empty(s) if s.fell_silent else None) or node_causes.node_absent(s)
        if absent is not None:
            return Step("node", False, absent.sentence, (absent, *findings))
    if node.state is None:
        return Step("node", None, f"Node {s.node_id} sends no heartbeat, so its state is not known.", findings)
    state = "booted" if node.state is NmtState.INITIALISING else node.state.text
    beat = f", heartbeat every {seconds(node.heartbeat_s)}" if node.heartbeat_s is not None else ""
    return Step("node", True, f"Node {s.node_id}: {state} (told {s.ago(node.state_at)}){beat}.", findings)


def _reboots(s: Situation) -> Finding:
    return Finding(
        codes.NODE_REBOOTS,
        Severity.WARNING,
        f"Node {s.node_id} restarted {s.node.boot_up_count} times in {seconds(s.listened_s)}, "
        f"the last time {s.ago(s.node.boot_ups[-1])}.",
        node=s.node_id,
        advice="If nobody resets it, look for a dip of its supply or a watchdog reset.",
    )


def sdo_step(channel: SdoChannel, watch: BusWatch, timeout_s: float, why: Why) -> Plan[Step]:
    """Read 1000h, which every node has, and then what it says of itself."""
    node_id = channel.node_id
    asked_at = yield Now()
    try:
        raw = yield SdoRead(node_id, 0x1000, 0, timeout_s)
    except SdoError as error:
        if isinstance(error, SdoAborted) and not error.why:
            return Step("SDO", True, f"It answers, and refuses 1000:00: {error.text}.")
        if isinstance(error, SdoTimeout) and all(finding.code == codes.SILENT for finding in error.why):
            yield Sleep(_PATIENCE * timeout_s)  # it may be slower still
            error.why = why(asked_at, (yield Now()))
        return Step("SDO", False, f"{error.summary}.", error.why)
    said = [f"device type {int.from_bytes(raw, 'little'):08X}h"]
    findings: tuple[Finding, ...] = ()
    for index, subindex, name in _OBJECTS:
        try:
            raw = yield SdoRead(node_id, index, subindex, timeout_s)
        except SdoError as error:
            if isinstance(error, SdoAborted) and not error.why:
                continue  # optional, or a device that takes liberties
            findings = (*findings, *error.why)
            return Step("SDO", False, f"1000:00 was read, but then: {error.summary}.", findings)
        said.append(f"{name} {_value(index, raw)}")
        if index == 0x1001 and raw and raw[0]:
            findings = (*findings, _error_register(node_id, raw[0]))
    if (two := (yield from two_devices(channel, watch, timeout_s))) is not None:
        findings = (*findings, two)
    return Step("SDO", True, f"It answers: {', '.join(said)}.", findings)


def two_devices(channel: SdoChannel, watch: BusWatch, timeout_s: float) -> Plan[Finding | None]:
    """Two devices on one node-ID: one request brings two answers, or heartbeats come twice as often as 1017h has it.

    The serial number (1018:04) is asked for, in which two devices of one kind differ.
    """
    node_id, request = channel.node_id, UploadInitiate(0x1018, 4).encode()
    answers: list[bytes] = []
    others: list[Frame] = []

    def answered(frame: Frame) -> bool:
        at = frame.can_id, frame.extended
        if at == (channel.response_id, channel.response_extended) and frame.data[1:4] == request[1:4]:
            answers.append(frame.data)
        elif at == (channel.request_id, channel.request_extended) and frame.direction != "tx":
            others.append(frame)
        return False

    try:
        yield Send(channel.request(request))
        yield WaitFor(answered, min(timeout_s, _SECOND_ANSWER_S))
    except AdapterError:  # it was asked often enough: this is only a look
        return None
    if others:  # another master's answers come there, too
        return None
    if len(answers) > 1:
        differ = len(set(answers)) > 1
        return Finding(
            codes.TWO_DEVICES,
            Severity.ERROR if differ else Severity.WARNING,
            f"Node {node_id} answered one request for its serial number {len(answers)} times"
            + (", differently: two devices have this node-ID." if differ else ": two devices may have this node-ID."),
            evidence=" and ".join(data.hex(" ").upper() for data in answers[:2]),
            node=node_id,
            advice=_APART,
        )
    try:
        period_s = int.from_bytes((yield SdoRead(node_id, 0x1017, 0, timeout_s))[:2], "little") / 1000
    except SdoError:
        return None
    life = watch.heartbeats.nodes.get(node_id)
    mean_s = None if life is None else life.period_s
    if life is None or mean_s is None or life.periods.count < _ENOUGH_BEATS or mean_s >= _TOO_OFTEN * period_s:
        return None
    return Finding(
        codes.TWO_DEVICES,
        Severity.WARNING,
        f"Heartbeats of node {node_id} come every {seconds(mean_s)} on average, and its 1017h says "
        f"{seconds(period_s)}: two devices may have this node-ID.",
        node=node_id,
        advice=_APART,
    )


def _value(index: int, raw: bytes) -> str:
    if index == 0x1008:
        return repr(raw.rstrip(b"\0").decode("latin-1"))
    return f"{int.from_bytes(raw, 'little'):0{2 * len(raw)}X}h"


def _error_register(node_id: int, register: int) -> Finding:
    return Finding(
        codes.NODE_ERROR_REGISTER,
        Severity.WARNING,
        f"Node {node_id} reports an error: {', '.join(error_register_names(register))}.",
        evidence=f"1001:00 = {register:02X}h",
        node=node_id,
        advice="Read its error history (1003h) and the EMCY messages.",
    )


def health_step(s: Situation, node_id: int | None) -> Step:
    """Error counters, lost frames, latency, EMCY."""
    errors, findings, said = s.watch.errors, [], []
    tx = s.adapter.tx_errors if s.adapter.tx_errors is not None else errors.tx_errors
    rx = s.adapter.rx_errors if s.adapter.rx_errors is not None else errors.rx_errors
    if tx is not None and rx is not None:
        said.append(f"error counters: transmit {tx}, receive {rx}")
    said.append(f"{errors.all.count} error frames" if errors.all.count else "no error frames")
    if lost := errors.count(BusError.OVERFLOW):
        findings.append(
            Finding(
                codes.FRAMES_LOST,
                Severity.WARNING,
                f"The adapter lost frames {lost} time{'s' if lost > 1 else ''}: they came faster than they were read.",
                advice="Close what else uses the adapter or the computer, or set filters.",
            )
        )
    if node_id is not None:
        findings += _node_health(s, said)
    return Step("health", True, f"{'; '.join(said)}.", tuple(findings))


def _node_health(s: Situation, said: list[str]) -> list[Finding]:
    findings = []
    latency = s.watch.latency(s.node_id)
    if latency is not None:
        said.append(
            f"{latency.count} answers after {seconds(latency.mean_s)} on average, {seconds(latency.max_s)} at most"
        )
    if s.facts.late.count and (slow := node_causes.late(s)) is not None:
        findings.append(slow)
    if (other := node_causes.other_master(s)) is not None:  # it went well this time
        findings.append(replace(other, severity=Severity.WARNING))
    emcy = s.node.emcy
    if emcy is not None and emcy.code:
        findings.append(
            Finding(
                codes.NODE_EMCY,
                Severity.WARNING,
                f"Node {s.node_id} sent EMCY {emcy.code:04X}h ({emcy.text}) {s.ago(s.node.emcy_at)}, "
                "and nothing since that says it is over.",
                evidence=f"error register {emcy.register:02X}h, {emcy.manufacturer.hex(' ').upper()}",
                node=s.node_id,
                advice="The five bytes after the register are the maker's: see its manual.",
            )
        )
    return findings
