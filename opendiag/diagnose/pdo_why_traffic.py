"""Causes that the traffic shows: SYNC, times, values, other senders. Each function gives its finding, or None."""

from __future__ import annotations

from itertools import pairwise

from opendiag.diagnose import pdo_why_codes as codes
from opendiag.diagnose.error_tally import CODING, BusError
from opendiag.diagnose.pdo_why_causes import finding
from opendiag.diagnose.pdo_why_facts import Arrivals, PdoFacts, objects_text
from opendiag.diagnose.sdo_watch import key_of
from opendiag.diagnose.situation import seconds
from opendiag.findings import Finding, Severity
from opendiag.services.pdo_parameters import (
    COB_ID,
    CYCLIC,
    EVENT_DRIVEN,
    EVENT_TIMER,
    INHIBIT_TIME,
    ON_CHANGE_AT_SYNC,
    SYNC_START,
    TRANSMISSION_TYPE,
)
from opendiag.wire.cob_id import predefined
from opendiag.wire.nmt import NmtState
from opendiag.wire.pdo import unpack

#: A shorter inhibit time is not noticed as "it does not come".
_LONG_INHIBIT_S = 0.5
#: So many times what SYNC allows are frames of somebody else.
_TOO_MANY = 1.5
_LONGER = 1.05


# --- SYNC -----------------------------------------------------------------------------------------------------------


def no_sync(f: PdoFacts) -> Finding | None:
    """It waits for SYNC, and there is none, or it is on another CAN-ID."""
    if not f.by_sync or f.sync_count or (f.came and f.parameters.transmit):
        return None
    elsewhere = f.listener.sync_like(f.sync_cob)
    if elsewhere:
        return _sync_elsewhere(f, *elsewhere[0])
    verb = "is sent" if f.parameters.transmit else "acts"
    sentence = f"{f.who} {verb} with SYNC (type {f.kind}), and no SYNC came on {f.sync_cob.text}h in "
    sentence += f"{seconds(f.listened_s)}."
    seen = f.watch.can_ids.get(key_of(f.sync_cob.can_id, f.sync_cob.extended))
    if seen is not None and seen.count:
        sentence += f" The last one came {seconds(f.now - seen.last_at)} ago."
    advice = "Start the SYNC producer, or send SYNC from here: `opendiag sync --period 100ms`."
    if f.produces_sync:
        period = f.numbers.get((0x1006, 0))
        sentence += f" Node {f.node_id} is to produce it itself (bit 30 of 1005h)"
        sentence += f", and its period 1006h is {period}." if period is not None else "."
        if not period:
            advice = f"Give it a period in us: `opendiag write {f.node_id} 1006 100000`."
    return finding(f, codes.NO_SYNC, sentence, advice, f"{f.sub(TRANSMISSION_TYPE)} = {f.kind}")


def _sync_elsewhere(f: PdoFacts, key: int, seen: Arrivals) -> Finding:
    where = f"{key & 0x1FFF_FFFF:08X}h" if key >> 29 else f"{key:03X}h"
    period = f", every {seconds(seen.period_s)}" if seen.period_s else ""
    word = f.numbers.get((0x1005, 0), 0x80) & 0xC000_0000 | key
    return finding(
        f,
        codes.SYNC_COB_ID,
        f"{f.who} waits for SYNC on {f.sync_cob.text}h (1005h of node {f.node_id}), where none comes; what looks like "
        f"SYNC comes on {where} ({seen.count} in {seconds(f.listened_s)}{period}).",
        f"Give node and producer the same CAN-ID: `opendiag write {f.node_id} 1005 {word:#x}`, or move the producer.",
        f"1005:00 = {f.numbers.get((0x1005, 0), 0x80):08X}h",
    )


def sync_counter(f: PdoFacts) -> Finding | None:
    """The counter that it waits for never comes, or SYNC has a counter where none is expected."""
    if not f.by_sync or f.came or not f.syncs.count:
        return None
    start, data = f.parameters.sync_start, f.syncs.data
    counters = [each[0] for each in data if len(each) == 1]
    advice = f"Count from any SYNC: `opendiag write {f.node_id} {f.sub(SYNC_START)} 0` (while the PDO is off), "
    if start and not counters:
        return finding(
            f,
            codes.SYNC_COUNTER,
            f"{f.who} begins with the SYNC whose counter is {start}, and SYNC comes without a counter.",
            f"{advice}or let the producer count: 1019h of the producer = {max(start, 2)} or more.",
            f"{f.sub(SYNC_START)} = {start}",
        )
    if start and start not in counters and any(b < a for a, b in pairwise(counters)):
        return finding(
            f,
            codes.SYNC_COUNTER,
            f"{f.who} begins with the SYNC whose counter is {start}, and the counter only runs from {min(counters)} to "
            f"{max(counters)}.",
            f"{advice}or let the producer count further: 1019h of the producer = {start} or more.",
            f"{f.sub(SYNC_START)} = {start}",
        )
    return _sync_length(f, bool(counters))


def _sync_length(f: PdoFacts, counted: bool) -> Finding | None:
    overflow = f.numbers.get((0x1019, 0))
    if overflow is None or bool(overflow) == counted:
        return None
    expects, comes = ("a counter", "without one") if overflow else ("none", "with a counter")
    emcy = f.watch.node(f.node_id).emcy
    return finding(
        f,
        codes.SYNC_COUNTER,
        f"Node {f.node_id} expects SYNC with {expects} (1019h = {overflow}), and it comes {comes}: it may take it for "
        "a faulty one."
        if overflow
        else f"Node {f.node_id} expects SYNC without a counter (1019h = 0), and it comes with one: it may take it for "
        "a faulty one.",
        "Set 1019h of the node and of the SYNC producer to the same value.",
        "EMCY 8240h" if emcy is not None and emcy.code == 0x8240 else "",
        severity=Severity.WARNING,
    )


# --- time -----------------------------------------------------------------------------------------------------------


def rare(f: PdoFacts) -> Finding | None:
    """It will come, but not within the time that was listened to."""
    if f.came:
        return None
    p, period = f.parameters, f.sync_period_s
    if f.kind in CYCLIC and f.kind > 1 and f.sync_count and f.sync_count <= f.kind * _LONGER:
        every = f", that is every {seconds(period * f.kind)}," if period else ""
        return finding(
            f,
            codes.RARE,
            f"{f.who} is {p.meaning}{every} and only {f.sync_count} SYNC came in {seconds(f.listened_s)}.",
            f"Let it come more often: `opendiag write {f.node_id} {f.sub(TRANSMISSION_TYPE)} 1`, or listen longer.",
            f"{f.sub(TRANSMISSION_TYPE)} = {f.kind}",
            severity=Severity.WARNING,
        )
    if f.kind in EVENT_DRIVEN and p.event_s and p.event_s * _LONGER > f.listened_s and f.unchanged is not False:
        return finding(
            f,
            codes.RARE,
            f"{f.who} comes every {p.event_s:g} s when nothing happens (event timer), and was listened to for "
            f"{seconds(f.listened_s)}.",
            f"Shorten it: `opendiag write {f.node_id} {f.sub(EVENT_TIMER)} 100` (ms), or listen longer.",
            f"{f.sub(EVENT_TIMER)} = {round(p.event_s * 1000)}",
            severity=Severity.WARNING,
        )
    return None


def inhibit(f: PdoFacts) -> Finding | None:
    """It has something to send and must wait."""
    p = f.parameters
    timer_held = 0 < p.event_s < p.inhibit_s
    if f.kind not in EVENT_DRIVEN or p.inhibit_s < _LONG_INHIBIT_S or not (timer_held or f.unchanged is False):
        return None
    last = f.last_before
    if f.came:
        gap = f.frames.least_gap_s
        if gap is not None and gap < p.inhibit_s / _LONGER:
            return None  # the device does not keep to it, or another one sends as well
        sentence = f"{f.who} comes no more often than every {p.inhibit_s:g} s, its inhibit time"
        sentence += f" (event timer {p.event_s:g} s)." if timer_held else ", though its values change in between."
    elif last is not None and f.now - last < p.inhibit_s * _LONGER:
        sentence = f"{f.who} came {seconds(f.now - last)} ago and may not be sent again before its inhibit time of "
        sentence += f"{p.inhibit_s:g} s is over."
    else:
        return None
    return finding(
        f,
        codes.INHIBIT,
        sentence,
        f"Shorten it, in units of 100 us: `opendiag write {f.node_id} {f.sub(INHIBIT_TIME)} 100` is 10 ms; some "
        f"devices want the PDO off for that: `opendiag pdo map {f.command} --inhibit 10ms`.",
        f"{f.sub(INHIBIT_TIME)} = {round(p.inhibit_s * 10_000)}",
        severity=Severity.WARNING if f.came else Severity.ERROR,
    )


# --- events ---------------------------------------------------------------------------------------------------------


def event(f: PdoFacts) -> Finding | None:
    """Nothing makes the node send it: no event, and no timer."""
    p = f.parameters
    if f.came or not f.by_event or (f.kind in EVENT_DRIVEN and p.event_s):
        return None
    keys = objects_text((entry.index, entry.subindex) for entry in p.entries if not entry.is_dummy)
    timer = ""
    if f.kind in EVENT_DRIVEN:
        there = f.has(p.communication, EVENT_TIMER)
        timer = f" Its event timer ({f.sub(EVENT_TIMER)}) is {'0' if there else 'not there'}."
    ignored = f.kind in EVENT_DRIVEN and f.sync_count > 0
    if f.unchanged and not ignored:
        return finding(
            f,
            codes.UNCHANGED,
            f"{f.who} is {_when(f)}, and nothing did in {seconds(f.listened_s)}: {keys} "
            f"{'reads' if len(p.entries) == 1 else 'read'} the same before and after.{timer}",
            _event_advice(f),
            f"{f.sub(TRANSMISSION_TYPE)} = {f.kind}",
        )
    sentence = f"{f.who} is {p.meaning} (type {f.kind})"
    if ignored:
        sentence += f", not with SYNC, though {f.sync_count} SYNC came in {seconds(f.listened_s)}.{timer}"
    elif f.unchanged is False:
        sentence += f"; its values changed in {seconds(f.listened_s)}, but for the device that was no event.{timer}"
    else:
        sentence += f", and there was none in {seconds(f.listened_s)}.{timer}"
    if ignored and f.unchanged:
        sentence += f" And nothing changed: {keys} read the same before and after."
    return finding(f, codes.EVENT, sentence, _event_advice(f), f"{f.sub(TRANSMISSION_TYPE)} = {f.kind}")


def _when(f: PdoFacts) -> str:
    if f.kind == ON_CHANGE_AT_SYNC:
        return "sent with the next SYNC after something changed (type 0)"
    return f"sent when something changes (type {f.kind})"


def _event_advice(f: PdoFacts) -> str:
    every_sync = f"`opendiag write {f.node_id} {f.sub(TRANSMISSION_TYPE)} 1`"
    if f.kind == ON_CHANGE_AT_SYNC:
        return f"Let it come with every SYNC: {every_sync}. Or make one of its values change."
    if not f.has(f.parameters.communication, EVENT_TIMER):
        return f"Let it come with every SYNC: {every_sync}. Or make one of its values change."
    timer = f"`opendiag write {f.node_id} {f.sub(EVENT_TIMER)} 100`"
    return f"Let it come every 100 ms: {timer}. With every SYNC: {every_sync}. Or make one of its values change."


# --- other senders --------------------------------------------------------------------------------------------------


def is_suspicious(f: PdoFacts) -> bool:
    """Does anything hint at another sender of its CAN-ID?"""
    owner = 0 if f.cob.extended else predefined(f.cob.can_id).node_id
    other_heard = owner not in (0, f.node_id) and f.heard_besides(owner)
    broken = f.watch.errors.seen_since(f.started, *CODING, BusError.BUS_OFF)
    return bool(_foreign(f)) or other_heard or broken


def clash(f: PdoFacts) -> Finding | None:
    """Somebody else sends on its CAN-ID."""
    if f.cob.bit_31:
        return None
    others = [f"{name} of node {node_id}" for node_id, name in f.same_id]
    signs = _foreign(f)
    if f.parameters.transmit and f.own:
        others.insert(0, "this master")
    if not others and not signs:
        return None
    who = f"{', '.join(others[:-1])} and {others[-1]}" if len(others) > 1 else (others or ["somebody else"])[0]
    verb = "have" if len(others) > 1 else "has"
    what = f"{who[0].upper()}{who[1:]} {verb} CAN-ID {f.cob.text}h as well as {f.who}" if others else ""
    if not others:
        what = f"Somebody else sends on CAN-ID {f.cob.text}h, that of {f.who}"
    if f.watch.errors.seen_since(f.started, *CODING, BusError.BUS_OFF):
        signs.append(f"their frames destroy each other ({f.watch.errors.text(*CODING, BusError.BUS_OFF)})")
    where = f.same_id[0] if f.same_id else None
    command = f.command if where is None else f"{where[0]} {where[1][:4].lower()} {where[1][4:]}"
    return finding(
        f,
        codes.CLASH,
        f"{what}{': ' if signs else '.'}{'; '.join(signs)}{'.' if signs else ''}",
        f"Give one of them a free CAN-ID: `opendiag pdo map {command} --cob-id CAN-ID`.",
        f"{f.sub(COB_ID)} = {f.cob.encode():08X}h",
        severity=Severity.ERROR if others or _impossible(f) else Severity.WARNING,
    )


def _impossible(f: PdoFacts) -> bool:
    """Frames came that this node cannot have sent."""
    idle = all(told.sure and told.state is not NmtState.OPERATIONAL for told in (f.told_before, f.told))
    return f.parameters.transmit and f.came and (idle or not f.parameters.active)


def _foreign(f: PdoFacts) -> list[str]:
    """Signs that not all frames on its CAN-ID are its own."""
    p, frames = f.parameters, f.frames
    if not p.transmit or not frames.count or p.cob.bit_31:
        return []
    if _impossible(f):
        return [f"{frames.count} frames came in {seconds(f.listened_s)}, and the node can send none"]
    signs = []
    odd = sorted({len(data) for data in frames.data} - {p.length})
    if p.active and odd:
        lengths = " and ".join(map(str, odd))
        signs.append(f"frames of {lengths} bytes came, and {p.name} has {p.length}")
    if f.kind in CYCLIC and f.sync_count and frames.count > _TOO_MANY * (f.sync_count / f.kind + 1):
        signs.append(f"{frames.count} frames came with {f.sync_count} SYNC")
    return signs


# --- RPDOs ----------------------------------------------------------------------------------------------------------


def not_sent(f: PdoFacts) -> Finding | None:
    """Nobody sends it."""
    if f.came or f.own:
        return None
    seen = f" The last one came {seconds(f.now - f.last_before)} ago." if f.last_before is not None else ""
    return finding(
        f,
        codes.NOT_SENT,
        f"Nobody sends {f.who}: no frame came on CAN-ID {f.cob.text}h in {seconds(f.listened_s)}.{seen}",
        f"Send it: `opendiag pdo send {f.command} NAME=VALUE`; whoever should send it may use another CAN-ID.",
    )


def length(f: PdoFacts) -> Finding | None:
    """Too few bytes: the node does not take it."""
    short = [data for data in f.frames.data if 8 * len(data) < f.parameters.bits]
    if not short:
        return None
    emcy = f.watch.node(f.node_id).emcy
    told = emcy is not None and emcy.code in (0x8210, 0x8220)
    return finding(
        f,
        codes.LENGTH,
        f"{f.who} comes with {len(short[-1])} bytes, and its mapping has {f.parameters.length}: the node does not "
        "take it.",
        f"Send all that is mapped (`opendiag pdo show {f.node_id}`), or map less.",
        f"EMCY {emcy.code:04X}h" if told and emcy is not None else "",
    )


def no_effect(f: PdoFacts) -> Finding | None:
    """It came as it should, and the objects hold something else."""
    entries = f.parameters.entries
    if not f.frames.count or not entries or length(f) is not None:
        return None
    widths = [entry.bits for entry in entries]
    differ = []
    for entry, sent in zip(entries, unpack(f.frames.data[-1], widths), strict=False):
        raw = f.after.get((entry.index, entry.subindex))
        if not entry.is_dummy and raw is not None and int.from_bytes(raw, "little") & (1 << entry.bits) - 1 != sent:
            held = int.from_bytes(raw, "little") & (1 << entry.bits) - 1
            differ.append(f"{entry.index:04X}:{entry.subindex:02X} was sent as {sent} and reads {held}")
    if not differ:
        return None
    return finding(
        f,
        codes.NO_EFFECT,
        f"{f.who} comes as it should, but the device keeps other values: {'; '.join(differ[:3])}.",
        "Look at the limits of these objects, at the state and mode of the device, and at who else writes them.",
        severity=Severity.WARNING,
    )
