"""What was odd about a capture: counted in full, listed up to a bound, told as findings."""

from __future__ import annotations

from dataclasses import dataclass, field

from opendiag.findings import Finding, Severity

_LISTED_LINES = 20
_EXAMPLE_WIDTH = 60

_SENTENCES = {
    "log-unreadable-line": (Severity.INFO, "no CAN frame in {lines}"),
    "log-length-mismatch": (Severity.WARNING, "the number of bytes does not fit in {lines}"),
    "log-not-a-frame": (Severity.WARNING, "a frame that no CAN bus carries in {lines}"),
    "log-can-xl": (Severity.WARNING, "CAN XL, which is not read, in {lines}"),
    "log-drop-count": (Severity.WARNING, "candump dropped {amount}: the capture has a gap before {lines}"),
    "log-time-ambiguous": (Severity.WARNING, "the times decrease in {lines}: they may be differences, see --time d"),
    "log-damaged": (Severity.ERROR, "the file cannot be read on behind {lines}"),
}
_ASSUMED = {
    "log-unreadable-line": "skipped",
    "log-length-mismatch": "skipped",
    "log-not-a-frame": "skipped",
    "log-can-xl": "skipped",
    "log-time-ambiguous": "taken as time since the start",
    "log-damaged": "what comes before it was read",
}


@dataclass(slots=True)
class _Oddity:
    count: int = 0
    amount: int = 0
    lines: list[int] = field(default_factory=list)
    example: str = ""


class Oddities:
    """All of one capture, by code."""

    def __init__(self, file: str) -> None:
        self._file = file
        self._by_code: dict[str, _Oddity] = {}

    def note(self, code: str, line: int, example: str, amount: int = 1) -> None:
        """``amount`` counts what is odd where that is not lines: dropped frames."""
        oddity = self._by_code.setdefault(code, _Oddity())
        oddity.count += 1
        oddity.amount += amount
        oddity.example = oddity.example or printable(example)
        if len(oddity.lines) < _LISTED_LINES:
            oddity.lines.append(line)

    def findings(self) -> list[Finding]:
        """One for each kind of oddity, with how often and where it was seen."""
        return [self._finding(code, oddity) for code, oddity in self._by_code.items()]

    def _finding(self, code: str, oddity: _Oddity) -> Finding:
        severity, sentence = _SENTENCES[code]
        listed = ", ".join(map(str, oddity.lines)) + (", .." if oddity.count > len(oddity.lines) else "")
        lines = f"line {listed}" if oddity.count == 1 else f"{oddity.count} lines ({listed})"
        amount = f"{oddity.amount} frame{'' if oddity.amount == 1 else 's'}"
        sentence = sentence.format(lines=lines, amount=amount)
        return Finding(code, severity, sentence, self._file, oddity.lines[0], oddity.example, _ASSUMED.get(code, ""))


def printable(text: str) -> str:
    """One line of it, short and fit for a terminal."""
    return "".join(character if character.isprintable() else "." for character in text.strip()[:_EXAMPLE_WIDTH])
