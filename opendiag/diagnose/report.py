"""What `doctor` found, step by step."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from opendiag.findings import Finding, Severity


@dataclass(frozen=True, slots=True)
class Step:
    """One rung. ``ok`` None: it could not be told, or was not checked; ``sentence`` says which."""

    name: str
    ok: bool | None
    sentence: str
    findings: tuple[Finding, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "ok": self.ok,
            "sentence": self.sentence,
            "findings": [finding_to_dict(finding) for finding in self.findings],
        }


@dataclass(frozen=True, slots=True)
class Report:
    """``node_id`` is the node that was looked at, ``nodes`` all that were found."""

    node_id: int | None
    steps: tuple[Step, ...]
    nodes: tuple[int, ...] = ()
    findings: tuple[Finding, ...] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "findings", tuple(finding for step in self.steps for finding in step.findings))

    @property
    def ok(self) -> bool:
        """No step is broken, and nothing was found that is worse than worth knowing."""
        return not any(step.ok is False for step in self.steps) and all(
            finding.severity < Severity.WARNING for finding in self.findings
        )

    def to_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "node": self.node_id,
            "nodes": list(self.nodes),
            "ok": self.ok,
            "steps": [step.to_dict() for step in self.steps],
            "findings": [finding_to_dict(finding) for finding in self.findings],
        }


def finding_to_dict(finding: Finding) -> dict[str, Any]:
    """Without what is not set."""
    fields = {
        "code": finding.code,
        "severity": finding.severity.name.lower(),
        "sentence": finding.sentence,
        "evidence": finding.evidence,
        "advice": finding.advice,
        "node": finding.node,
    }
    return {name: value for name, value in fields.items() if value not in ("", None)}
