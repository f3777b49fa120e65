"""Causes that lie in how a PDO is configured or in the state of its node. Each function gives its finding, or None."""

from __future__ import annotations

from opendiag.diagnose import pdo_why_codes as codes
from opendiag.diagnose.pdo_why_facts import PdoFacts, default_cob
from opendiag.diagnose.situation import seconds
from opendiag.findings import Finding, Severity
from opendiag.services.pdo_parameters import COB_ID, ON_REQUEST, ON_REQUEST_AT_SYNC, TRANSMISSION_TYPE, is_allowed
from opendiag.wire.cob_id import CobId, Service, is_restricted, predefined
from opendiag.wire.nmt import NmtCommand, NmtState


def none(f: PdoFacts) -> Finding | None:
    """The device does not have this PDO."""
    index = f.parameters.communication
    refused = f.refused.get((index, COB_ID))
    if refused is None or f.has(index, COB_ID):
        return None
    return finding(
        f,
        codes.NONE,
        f"Node {f.node_id} has no {f.name}: it refuses {f.sub(COB_ID)}.",
        f"See which PDOs it has: `opendiag pdo show {f.node_id}`.",
        refused.text,
    )


def nmt(f: PdoFacts) -> Finding | None:
    """It is not OPERATIONAL, by its own word (sure) or as far as one can tell."""
    told = f.told
    if told.state is NmtState.OPERATIONAL or (f.came and not _surely_idle(f)):
        return None
    verb = "sent" if f.parameters.transmit else "taken"
    start = f"`opendiag nmt start {f.node_id}`"
    if told.state is None:
        return finding(
            f,
            codes.NMT,
            f"The NMT state of node {f.node_id} is not known: no heartbeat, no PDO and no start command was heard in "
            f"{seconds(_listened(f))}. PDOs are {verb} in OPERATIONAL only.",
            f"Start it: {start}. With a heartbeat it tells its state: `opendiag write {f.node_id} 1017 1000`.",
            severity=Severity.WARNING,
        )
    sentence = f"Node {f.node_id} is {told.state.text} ({told.how}): PDOs are {verb} in OPERATIONAL only."
    command = f.watch.last_command(f.node_id)
    advice = f"Start it: {start}."
    if command is not None and command[0] is NmtCommand.START and told.sure:
        sentence = f"Node {f.node_id} was told to start {seconds(f.now - command[1])} ago, and is {told.state.text} "
        sentence += f"still ({told.how}): PDOs are {verb} in OPERATIONAL only."
        advice = f"Some devices do not start while they report an error: `opendiag read {f.node_id} 1001 1003`."
    sure = told.sure or told.state is NmtState.STOPPED
    return finding(f, codes.NMT, sentence, advice, severity=Severity.ERROR if sure else Severity.WARNING)


def _surely_idle(f: PdoFacts) -> bool:
    """Not OPERATIONAL by its own word, before and after: what came is of somebody else."""
    return all(told.sure and told.state is not NmtState.OPERATIONAL for told in (f.told_before, f.told))


def _listened(f: PdoFacts) -> float:
    return f.now - (f.watch.started_at if f.watch.started_at is not None else f.started)


def off(f: PdoFacts) -> Finding | None:
    """Bit 31 of its COB-ID."""
    if not f.cob.bit_31:
        return None
    new = f.cob if _usable(f.cob) else default_cob(f.node_id, f.parameters.transmit, f.parameters.number)
    if new is not None:
        word = CobId(new.can_id, new.extended, False, f.cob.bit_30).encode()
        advice = f"Switch it on: `opendiag write {f.node_id} {f.sub(COB_ID)} {word:#x}`."
    else:
        advice = f"Choose a free CAN-ID and switch it on: `opendiag pdo map {f.command} --cob-id CAN-ID`."
    return finding(
        f,
        codes.OFF,
        f"{f.who} is switched off: bit 31 is set in {f.sub(COB_ID)}.",
        advice,
        f"{f.sub(COB_ID)} = {f.numbers.get((f.parameters.communication, COB_ID), f.cob.encode()):08X}h",
    )


def _usable(cob: CobId) -> bool:
    return cob.extended or not is_restricted(cob.can_id)


def bad_cob_id(f: PdoFacts) -> Finding | None:
    """Switched on with an identifier that no PDO may have."""
    if f.cob.bit_31 or _usable(f.cob):
        return None
    service = predefined(f.cob.can_id).service
    whose = f", which belongs to {service.value}" if service is not Service.UNKNOWN else ""
    new = default_cob(f.node_id, f.parameters.transmit, f.parameters.number)
    return finding(
        f,
        codes.COB_ID,
        f"{f.who} has CAN-ID {f.cob.text}h{whose}: no PDO may use it.",
        f"Give it another: `opendiag pdo map {f.command} --cob-id {new.text if new else 'CAN-ID'}`.",
        f"{f.sub(COB_ID)} = {f.cob.encode():08X}h",
    )


def moved(f: PdoFacts) -> Finding | None:
    """It has another CAN-ID than the one that was looked at."""
    expected = f.expected
    if expected is None or f.cob.bit_31 or not _usable(f.cob):
        return None
    if (expected.can_id, expected.extended) == (f.cob.can_id, f.cob.extended):
        return None
    if f.came:
        sentence = f"{f.who} comes on CAN-ID {f.cob.text}h ({f.frames.count} in {seconds(f.listened_s)}), "
    else:
        sentence = f"{f.who} has CAN-ID {f.cob.text}h, "
    return finding(
        f,
        codes.COB_ID,
        f"{sentence}not {expected.text}h.",
        f"Look for it there, give whoever decodes it the node's configuration, or move it: "
        f"`opendiag pdo map {f.command} --cob-id {expected.text}`.",
        f"{f.sub(COB_ID)} = {f.cob.encode():08X}h",
        severity=Severity.ERROR if f.came else Severity.WARNING,
    )


def empty(f: PdoFacts) -> Finding | None:
    """Nothing is mapped."""
    p = f.parameters
    if p.multiplexed or p.entries or p.missing:
        return None
    refused = f.refused.get((p.mapping, 0))
    what = f"{p.mapping:04X}:00 is 0" if refused is None else f"the node has no {p.mapping:04X}h"
    verb = "there is nothing to send" if p.transmit else "there is nothing to write"
    objects = "6041 6064" if p.transmit else "6040 607A"
    return finding(
        f,
        codes.EMPTY,
        f"The mapping of {f.who} is empty ({what}): {verb}.",
        f"Map objects, as in `opendiag pdo map {f.command} {objects}`.",
        "" if refused is None else refused.text,
    )


def transmission_type(f: PdoFacts) -> Finding | None:
    """A type that nothing is sent with."""
    if is_allowed(f.kind, f.parameters.transmit):
        return None
    return finding(
        f,
        codes.TYPE,
        f"{f.who} has transmission type {f.kind}, which is {f.parameters.meaning}."
        if f.parameters.transmit
        else f"{f.who} has transmission type {f.kind}: {f.parameters.meaning}.",
        f"Give it another: `opendiag write {f.node_id} {f.sub(TRANSMISSION_TYPE)} 255` (at an event) or 1 (SYNC).",
        f"{f.sub(TRANSMISSION_TYPE)} = {f.kind}",
    )


def remote_only(f: PdoFacts) -> Finding | None:
    """Types 252 and 253: only a remote frame makes the node send it."""
    if f.came or not f.parameters.transmit or f.kind not in (ON_REQUEST_AT_SYNC, ON_REQUEST):
        return None
    sentence = f"{f.who} has transmission type {f.kind}: it is {f.parameters.meaning}"
    asked = f.remotes_heard
    if not f.parameters.remote_allowed:
        sentence += f", and bit 30 of {f.sub(COB_ID)} forbids that."
    elif asked:
        sentence += f". {asked} came in {seconds(f.listened_s)}, and no answer: many devices do not answer them."
    else:
        sentence += f", and none came in {seconds(f.listened_s)}."
    return finding(
        f,
        codes.RTR,
        sentence,
        f"Give it another type: `opendiag write {f.node_id} {f.sub(TRANSMISSION_TYPE)} 255` (at an event) "
        f"or 1 (with every SYNC).",
        f"{f.sub(TRANSMISSION_TYPE)} = {f.kind}, {f.sub(COB_ID)} = {f.cob.encode():08X}h",
    )


def finding(
    f: PdoFacts, code: str, sentence: str, advice: str, evidence: str = "", severity: Severity = Severity.ERROR
) -> Finding:
    """One about the node of this PDO."""
    return Finding(code, severity, sentence, evidence=evidence, node=f.node_id, advice=advice)
