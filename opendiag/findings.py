"""What is odd but not fatal: one type for EDS lint, unreadable log lines, malformed frames and quirks."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Severity(IntEnum):
    """Ordered: ``finding.severity >= Severity.WARNING`` picks what deserves a look."""

    INFO = 1
    WARNING = 2
    ERROR = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """``code`` is stable and catalogued in the docs; ``line`` counts from 1 in ``file``.

    ``sentence`` says what is odd, ``evidence`` quotes it, ``assumed`` says how it was read all the same, ``advice``
    what to do next. ``node`` is the node it is about.
    """

    code: str
    severity: Severity
    sentence: str
    file: str | None = None
    line: int | None = None
    evidence: str = ""
    assumed: str = ""
    node: int | None = None
    advice: str = ""

    def __str__(self) -> str:
        where = ":".join(str(part) for part in (self.file, self.line) if part is not None)
        parts = [f"{where}: " if where else "", f"{self.severity.name.lower()} {self.code}: {self.sentence}"]
        if self.evidence:
            parts.append(f" [{self.evidence}]")
        if self.assumed:
            parts.append(f"; {self.assumed}")
        if self.advice:
            parts.append(f"{'' if parts[-1].endswith(('.', '?', '!')) else '.'} {self.advice}")
        return "".join(parts)
