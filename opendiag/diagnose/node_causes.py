"""Causes of a missing answer that lie with the node or its SDO channel. Each function gives its finding, or None."""

from __future__ import annotations

import math

from opendiag.diagnose import codes
from opendiag.diagnose.sdo_watch import key_of
from opendiag.diagnose.situation import Situation, listed, seconds
from opendiag.findings import Finding, Severity
from opendiag.wire.cob_id import CobId
from opendiag.wire.nmt import NmtCommand, NmtState

_RESETS = (NmtCommand.RESET_NODE, NmtCommand.RESET_COMMUNICATION)
#: Late answers older than this say nothing of the present request.
_LATE_S = 60.0
#: An answer of an earlier request that took this part of the waiting time makes a late one likely.
_SLOW = 0.5


def node_reset(s: Situation) -> Finding | None:
    """It started again after it was asked, and has forgotten the request."""
    booted = s.node.booted_since(s.asked_at)
    command = s.watch.last_command(s.node_id)
    told = command is not None and command[0] in _RESETS and command[1] > s.asked_at
    if booted is None and not told:
        return None
    if booted is not None:
        what = f"Node {s.node_id} restarted (boot-up {s.ago(booted)}), {seconds(booted - s.asked_at)} after the request"
    else:
        what = f"Node {s.node_id} was told to reset {s.ago(command[1] if command else s.now)}, after the request"
    emcy = s.node.emcy
    before = emcy is not None and s.asked_at <= s.node.emcy_at
    told_by = f"EMCY {emcy.code:04X}h ({emcy.text}) {s.ago(s.node.emcy_at)}" if emcy is not None and before else ""
    return _finding(
        s,
        codes.NODE_RESET,
        f"{what}: it has forgotten the transfer.",
        "Ask again once it is up. If nobody reset it, look for a dip of its supply or a watchdog reset.",
        told_by,
    )


def other_cob_id(s: Situation) -> Finding | None:
    """The answer came on another CAN-ID, or the node's 1200h says that it does."""
    ids = f"{_id(s.channel.request_id)} / {_id(s.channel.response_id)}"
    seen = [e for e in s.facts.elsewhere if e.at >= s.asked_at and (e.index, e.subindex) == (s.index, s.subindex)]
    if seen:
        first = seen[0]  # those after it answer our repetitions
        return _finding(
            s,
            codes.OTHER_COB_ID,
            f"An answer for {s.object} came on CAN-ID {first.can_id_text}, {seconds(first.at - s.asked_at)} after the "
            f"request; it was expected on {_id(s.channel.response_id)}.",
            "Check the node's 1200h:02, and use an SDO channel with that CAN-ID.",
            f"{first.can_id_text} {first.data.hex(' ').upper()}",
        )
    server = s.watch.sdo.server(s.node_id, s.channel.number)
    if server is None or server.request_cob_id is None or server.response_cob_id is None:
        return None
    request, response = CobId.decode(server.request_cob_id), CobId.decode(server.response_cob_id)
    if request.bit_31 or response.bit_31:
        return None
    configured = key_of(request.can_id, request.extended), key_of(response.can_id, response.extended)
    if configured == (s.facts.request, s.facts.response):
        return None
    return _finding(
        s,
        codes.OTHER_COB_ID,
        f"{_object(s)} of node {s.node_id} names the CAN-IDs {request.text}h / {response.text}h "
        f"({_source(server.source)}); it was asked on {ids}.",
        "Use an SDO channel with these CAN-IDs.",
    )


def node_stopped(s: Situation) -> Finding | None:
    """It is in NMT state STOPPED, by its own word or because it was told."""
    advice = f"Start it: NMT start (01h), or enter pre-operational (80h), for node {s.node_id}."
    if s.node.state is NmtState.STOPPED and s.node.last is not None:
        command = s.watch.last_command(s.node_id)
        if command is not None and command[1] > s.node.state_at and command[0] is not NmtCommand.STOP:
            return None
        if s.node.state_at < s.facts.answered_at and s.facts.answers:
            return None  # it has talked SDO since
        return _finding(
            s,
            codes.NODE_STOPPED,
            f"Node {s.node_id} was last heard {s.ago(s.heard_at or s.now)} ({s.node.service}): "
            "a stopped node does not answer SDO.",
            advice,
        )
    command = s.watch.last_command(s.node_id)
    if command is None or command[0] is not NmtCommand.STOP:
        return None
    heard_at = s.heard_at
    if heard_at is not None and heard_at > command[1]:
        return None  # it would have told, or it talks although it was told to stop
    return _finding(
        s,
        codes.NODE_STOPPED,
        f"Node {s.node_id} was told to stop {s.ago(command[1])} and sends no heartbeat that says otherwise: "
        "a stopped node does not answer SDO.",
        advice,
    )


def channel_disabled(s: Situation) -> Finding | None:
    """Bit 31 in 1200h: the SDO channel does not exist."""
    server = s.watch.sdo.server(s.node_id, s.channel.number)
    if server is None:
        return None
    if server.source == "file" and s.facts.answers:
        return None  # the file is out of date
    off = [sub for sub, v in ((1, server.request_cob_id), (2, server.response_cob_id)) if v is not None and v >> 31]
    if not off:
        return None
    where = " and ".join(f"{_index(s)}:{sub:02X}" for sub in off)
    values = [v for v in (server.request_cob_id, server.response_cob_id) if v is not None and v >> 31]
    return _finding(
        s,
        codes.CHANNEL_DISABLED,
        f"This SDO channel of node {s.node_id} is switched off: bit 31 is set in {where} ({_source(server.source)}).",
        "Reset the node if that was not saved, ask on another channel of it, or clear bit 31 there.",
        ", ".join(f"{value:08X}h" for value in values),
    )


def other_master(s: Situation) -> Finding | None:
    """Somebody else uses the channel at this time."""
    recent = s.facts.foreign_since(s.since)
    if not recent:
        return None
    last_at, data = recent[-1]
    count = "1 request" if s.facts.foreign_count == 1 else f"{s.facts.foreign_count} requests"
    return _finding(
        s,
        codes.OTHER_MASTER,
        f"Another master uses the SDO channel of node {s.node_id}: {count} on "
        f"{_id(s.channel.request_id)} not sent by us, the last {s.ago(last_at)}. "
        "A server keeps to one transfer at a time.",
        "Stop the other master, or give one of the two a channel of its own (1201h..127Fh).",
        f"{_id(s.channel.request_id)} {data.hex(' ').upper()}",
    )


def late(s: Situation) -> Finding | None:
    """It does answer, but after we have given up."""
    slow = s.facts.late
    waited = s.facts.timeout_s if s.facts.timeout_s is not None else s.now - s.asked_at
    if slow.last_at is None or slow.last_at < min(s.asked_at, s.now - _LATE_S):
        return _slow_before(s, waited)
    slowest = slow.slowest_s if slow.slowest_s is not None else waited + slow.max_by_s
    if slow.last_at < s.asked_at and slowest <= waited:
        return None  # that was with a shorter time-out
    by = max(slow.max_by_s, slowest - waited)
    came = "1 answer came" if slow.count <= 1 else f"{slow.count} answers came"
    return _finding(
        s,
        codes.LATE,
        f"Node {s.node_id} answers late: {came} after the time-out of {seconds(waited)}, "
        f"up to {seconds(by)} after it (the last {s.ago(slow.last_at)}).",
        f"A time-out of {enough_s(slowest):g} s would do.",
    )


def _slow_before(s: Situation, waited: float) -> Finding | None:
    """No late answer yet, but the earlier ones came close to the time-out."""
    latency = s.facts.latency
    if not latency.count or latency.max_s < _SLOW * waited:
        return None
    return Finding(
        codes.LATE,
        Severity.WARNING,
        f"Node {s.node_id} is slow: of {latency.count} answers the slowest took {seconds(latency.max_s)}, "
        f"and we waited for {seconds(waited)}.",
        node=s.node_id,
        advice=f"Try a time-out of {enough_s(max(latency.max_s, waited)):g} s.",
    )


def enough_s(slowest_s: float) -> float:
    """A time-out, in seconds, that leaves room above the slowest answer: twice that, rounded up."""
    return math.ceil(slowest_s * 2 * 10 - 1e-9) / 10


def toggle(s: Situation) -> Finding | None:
    """Segments of a transfer repeated, lost or mixed."""
    faults = [fault for fault in s.facts.faults if fault.at >= s.asked_at and "toggle" in fault.what.lower()]
    return None if not faults else toggle_finding(s, faults[-1].what)


def toggle_finding(s: Situation, what: str) -> Finding:
    """The finding for a toggle fault that is already known."""
    return _finding(
        s,
        codes.TOGGLE,
        f"The toggle bit did not alternate in the transfer of {s.object} with node {s.node_id}: "
        "a segment was repeated or lost.",
        "Read it again. If it stays: is another master on this channel, does the adapter lose frames? "
        "Try a block transfer; a device that always fails here has a faulty SDO server.",
        what,
    )


def node_absent(s: Situation) -> Finding | None:
    """Not there any more, or never."""
    if s.alive:
        return None
    if s.heard_at is not None:
        sentence = f"Node {s.node_id} was last heard {s.ago(s.heard_at)} ({s.node.service}"
        if s.node.heartbeat_s is not None:
            sentence += f"; heartbeat every {seconds(s.node.heartbeat_s)} until then"
        sentence += ") and is silent since"
        advice = f"Check the power and the plug of node {s.node_id}, and whether it has gone bus-off."
    else:
        sentence = f"Node {s.node_id} was never heard in {seconds(s.listened_s)}"
        advice = f"Check the power, the plug and the node-ID of node {s.node_id}; `doctor` asks every node-ID."
    return _finding(s, codes.NODE_ABSENT, f"{sentence}. {_around(s)}", advice)


def wrong_node_id(s: Situation) -> Finding | None:
    """Never heard, while somebody is there whom the user does not know."""
    if s.heard_at is not None or not s.strangers:
        return None
    return _finding(
        s,
        codes.WRONG_NODE_ID,
        f"Node {s.node_id} was never heard in {seconds(s.listened_s)}, but {listed(s.strangers)} "
        f"{'is' if len(s.strangers) == 1 else 'are'} on the bus: the node-ID is likely another one.",
        f"Ask node {s.strangers[0].node_id}, or set the node-ID at the device (switches, LSS) and restart it.",
    )


def silent(s: Situation) -> Finding | None:
    """It lives, and nothing says why it does not answer."""
    state = f", {s.node.state.text}" if s.node.state is not None and s.node.state is not NmtState.INITIALISING else ""
    return Finding(
        codes.SILENT,
        Severity.WARNING,
        f"Node {s.node_id} is alive (last heard {s.ago(s.heard_at if s.heard_at is not None else s.now)}"
        f", {s.node.last.connection.label if s.node.last else '-'}{state}), "
        f"but did not answer the request for {s.object} in {seconds(s.now - s.asked_at)}.",
        node=s.node_id,
        advice="Ask again with a longer time-out. Does it answer 1000:00? If not, it may have no SDO server on "
        f"{_id(s.channel.request_id)}; if it does, this object alone is slow.",
    )


def _around(s: Situation) -> str:
    if s.others and s.heard_recently:
        return f"The bus is alive: {listed(s.others)}."
    if s.others:
        return f"Earlier there was {listed(s.others)}; the last frame came {s.ago(s.watch.last_at or s.now)}."
    if s.watch.last_at is not None:
        return f"Frames heard: {s.watch.frames}, the last {s.ago(s.watch.last_at)}, and none of another node."
    return "The request was acknowledged, so another device is on the bus, but nothing else was heard."


def _finding(s: Situation, code: str, sentence: str, advice: str, evidence: str = "") -> Finding:
    return Finding(code, Severity.ERROR, sentence, evidence=evidence, node=s.node_id, advice=advice)


def _id(can_id: int) -> str:
    return f"{can_id:03X}h" if can_id <= 0x7FF else f"{can_id:08X}h"


def _index(s: Situation) -> str:
    return f"{0x1200 + s.channel.number - 1:04X}"


def _object(s: Situation) -> str:
    return f"{_index(s)}h"


def _source(source: str) -> str:
    return "seen in the traffic" if source == "traffic" else "from its dictionary"
