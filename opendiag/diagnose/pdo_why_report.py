"""What was looked at to find out why a PDO does not come, step by step, and what was found."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from opendiag.diagnose import pdo_why_codes as codes
from opendiag.diagnose.pdo_why_facts import PdoFacts
from opendiag.diagnose.report import Step, finding_to_dict
from opendiag.diagnose.situation import seconds
from opendiag.findings import Finding, Severity
from opendiag.services.pdo_parameters import AT_SYNC

#: Which step a finding belongs to; the others are about what comes.
_STEP_OF = {
    codes.NONE: "COB-ID",
    codes.NMT: "state",
    codes.OFF: "COB-ID",
    codes.COB_ID: "COB-ID",
    codes.EMPTY: "mapping",
    codes.TYPE: "type",
    codes.RTR: "type",
    codes.NO_SYNC: "SYNC",
    codes.SYNC_COB_ID: "SYNC",
    codes.SYNC_COUNTER: "SYNC",
}
_FRAMES = "frames"


@dataclass(frozen=True, slots=True)
class PdoReport:
    """``findings`` with the most certain first; ``count`` frames came in ``listened_s``, from others or from here."""

    node_id: int
    name: str
    steps: tuple[Step, ...]
    findings: tuple[Finding, ...]
    count: int = 0
    listened_s: float = 0.0

    @property
    def comes(self) -> bool:
        return self.count > 0

    @property
    def ok(self) -> bool:
        """Nothing was found that is worse than worth knowing."""
        return all(finding.severity < Severity.WARNING for finding in self.findings)

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "node": self.node_id,
            "pdo": self.name,
            "ok": self.ok,
            "frames": self.count,
            "listened_s": round(self.listened_s, 6),
            "steps": [step.to_dict() for step in self.steps],
            "findings": [finding_to_dict(finding) for finding in self.findings],
        }


def report(f: PdoFacts, findings: tuple[Finding, ...]) -> PdoReport:
    """The steps in words, each with its findings."""
    sentences = {"state": _state(f), "COB-ID": _cob_id(f), "mapping": _mapping(f), "type": _type(f)}
    if f.kind in AT_SYNC:
        sentences["SYNC"] = _sync(f)
    clash = any(each.code == codes.CLASH for each in findings)
    sentences[_FRAMES] = _frames(f, clash)
    steps = []
    for name, (ok, sentence) in sentences.items():
        own = tuple(each for each in findings if _STEP_OF.get(each.code, _FRAMES) == name)
        worst = max((each.severity for each in own), default=Severity.INFO)
        verdict = False if worst is Severity.ERROR else None if worst is Severity.WARNING else ok
        steps.append(Step(name, verdict, sentence, own))
    return PdoReport(f.node_id, f.name, tuple(steps), findings, f.frames.count + f.own, f.listened_s)


def unreachable(node_id: int, name: str, step: str, sentence: str, findings: tuple[Finding, ...]) -> PdoReport:
    """Nothing could be read, so that is all there is to say."""
    return PdoReport(node_id, name, (Step(step, False, sentence, findings),), findings)


_Said = tuple[bool | None, str]


def _state(f: PdoFacts) -> _Said:
    if f.told.state is None:
        return None, "It tells no NMT state."
    return True, f"{f.told.state.text} ({f.told.how})."


def _cob_id(f: PdoFacts) -> _Said:
    if f.cob.bit_31:
        return False, f"Switched off ({f.sub(1)})."
    return True, f"CAN-ID {f.cob.text}h."


def _mapping(f: PdoFacts) -> _Said:
    p = f.parameters
    if p.multiplexed:
        return True, "Multiplexed."
    if p.missing:
        return None, f"{p.count} objects, not all of which could be read."
    if not p.entries:
        return False, "Empty."
    objects = ", ".join(f"{entry.index:04X}:{entry.subindex:02X}" for entry in p.entries)
    return True, f"{objects}: {p.bits} bits in {p.length} byte{'s' * (p.length != 1)}."


def _type(f: PdoFacts) -> _Said:
    p = f.parameters
    said = f"{p.transmission_type}, {p.meaning}"
    if p.sync_start:
        said += f"; counts from SYNC counter {p.sync_start}"
    if p.inhibit_s:
        said += f"; inhibit time {p.inhibit_s:g} s"
    if p.event_s:
        said += f"; {'event timer' if p.transmit else 'deadline'} {p.event_s:g} s"
    return True, f"{said}."


def _sync(f: PdoFacts) -> _Said:
    if not f.sync_count:
        return None, f"None on {f.sync_cob.text}h in {seconds(f.listened_s)}."
    period = f", every {seconds(f.sync_period_s)}" if f.sync_period_s else ""
    return True, f"{f.sync_count} on {f.sync_cob.text}h in {seconds(f.listened_s)}{period}."


def _frames(f: PdoFacts, clash: bool) -> _Said:
    count = f.frames.count
    sent = f"; {f.own} sent from here" if f.own else ""
    if not count:
        return (True if f.own and not f.parameters.transmit else None), f"None in {seconds(f.listened_s)}{sent}."
    period = f", every {seconds(f.frames.period_s)}" if f.frames.period_s else ""
    if clash:  # nobody can tell whose they are
        return None, f"{count} with CAN-ID {f.cob.text}h in {seconds(f.listened_s)}, from all that have it{sent}."
    return True, f"{count} in {seconds(f.listened_s)}{period}{sent}."
