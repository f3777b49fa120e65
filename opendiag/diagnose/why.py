"""Why a node did not answer: what the bus tells about it, the likeliest cause first.

The order is that of the way of a request. What keeps it from leaving comes first, then what keeps it from arriving;
once that is found nothing can be said of the node. Of the node, what it told itself comes before what a file says
about it, and proofs come before likelihoods:

 1. listen-only, as nothing was sent then
 2. bit rate: errors and no valid frame; a bus-off is its consequence then, and named second
 3. bus-off, after another master on the channel: two senders of one CAN-ID destroy each other's frames
 4. the adapter refused the frame, where nothing tells of a missing acknowledge
 5. empty bus, then any other request that was not acknowledged
 6. restarted after the request
 7. the answer came on another CAN-ID
 8. a toggle fault
 9. fallen silent, if its heartbeat was regular until then
10. STOPPED
11. SDO channel switched off, or on other CAN-IDs (1200h)
12. of a node that lives: another master, then late answers, then silence without a reason
13. of one that does not: wrong node-ID, if it was never heard and every other node here is one nobody works with;
    absent otherwise
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from opendiag.diagnose import bus_causes, codes, node_causes
from opendiag.diagnose.situation import AdapterFacts, Situation
from opendiag.diagnose.watch import BusWatch
from opendiag.errors import OpenDiagError, SdoAborted, SdoProtocolError
from opendiag.findings import Finding
from opendiag.services.sdo_channel import SdoChannel
from opendiag.wire.sdo_abort import SdoAbortCode

__all__ = ["AdapterFacts", "why_no_answer", "why_protocol"]

_Cause = Callable[[Situation], Finding | None]


def why_no_answer(
    watch: BusWatch,
    channel: SdoChannel,
    index: int,
    subindex: int,
    asked_at: float | None,
    now: float,
    adapter: AdapterFacts | None = None,
) -> tuple[Finding, ...]:
    """Never empty. ``asked_at`` is when the request was first sent, None: only now. Times in monotonic seconds."""
    s = _situation(watch, channel, index, subindex, asked_at, now, adapter)
    first: dict[str, Finding] = {}
    for finding in _of_the_bus(s) or _of_the_node(s):
        first.setdefault(finding.code, finding)
    return tuple(first.values())


def why_protocol(
    watch: BusWatch,
    channel: SdoChannel,
    error: OpenDiagError,
    asked_at: float | None,
    now: float,
    adapter: AdapterFacts | None = None,
) -> tuple[Finding, ...]:
    """Why a transfer broke off though there were answers: a reset, another master, a toggle fault. May be empty."""
    index, subindex = getattr(error, "index", 0), getattr(error, "subindex", 0)
    s = _situation(watch, channel, index, subindex, asked_at, now, adapter)
    found = _all(s, (node_causes.node_reset, node_causes.other_master))
    what = ""
    if isinstance(error, SdoProtocolError) and "toggle" in error.reason.lower():
        what = error.reason
    elif isinstance(error, SdoAborted) and error.code == SdoAbortCode.TOGGLE_NOT_ALTERNATED:
        what = error.text
    if what:
        found.append(node_causes.toggle_finding(s, what))
    elif (toggle := node_causes.toggle(s)) is not None:
        found.append(toggle)
    return tuple(found)


def _situation(
    watch: BusWatch,
    channel: SdoChannel,
    index: int,
    subindex: int,
    asked_at: float | None,
    now: float,
    adapter: AdapterFacts | None,
) -> Situation:
    asked = now if asked_at is None else asked_at
    return Situation(watch, channel, index, subindex, asked, now, adapter or AdapterFacts())


def _of_the_bus(s: Situation) -> list[Finding]:
    listen_only = bus_causes.listen_only(s)
    if listen_only is not None:
        return [listen_only]
    found = _all(s, (bus_causes.bit_rate, bus_causes.bus_off))
    if found and found[0].code == codes.BUS_OFF:  # two senders of one CAN-ID destroy each other's frames
        return _all(s, (node_causes.other_master,)) + found
    if found:
        return found
    empty, not_sent = bus_causes.bus_empty(s), bus_causes.not_sent(s)
    refused = any(at >= s.asked_at for at, _ in s.watch.send_failures)
    if empty is not None and not refused:
        return [empty]  # that it was not acknowledged is said there
    order = (not_sent, empty) if refused and not s.not_acknowledged else (empty, not_sent)
    return [finding for finding in order if finding is not None]


def _of_the_node(s: Situation) -> list[Finding]:
    proofs = _all(s, (node_causes.node_reset, _seen_elsewhere, node_causes.toggle))
    if s.beats_missing:
        proofs += _all(s, (node_causes.node_absent,))
    proofs += _all(s, (node_causes.node_stopped, node_causes.channel_disabled, node_causes.other_cob_id))
    if s.alive:
        likely = _all(s, (node_causes.other_master, node_causes.late))
        return [*proofs, *likely] or _all(s, (node_causes.silent,))
    known = any(node not in s.strangers for node in s.others)
    missing: tuple[_Cause, ...] = (node_causes.wrong_node_id, node_causes.node_absent)
    found = _all(s, missing[::-1] if known else missing[:1]) or _all(s, missing[1:])
    return [*proofs, *found, *_all(s, (node_causes.other_master, node_causes.late))]


def _seen_elsewhere(s: Situation) -> Finding | None:
    """An answer that was seen on another CAN-ID; what 1200h says comes later."""
    return node_causes.other_cob_id(s) if any(e.at >= s.asked_at for e in s.facts.elsewhere) else None


def _all(s: Situation, causes: Iterable[_Cause]) -> list[Finding]:
    return [finding for cause in causes if (finding := cause(s)) is not None]
