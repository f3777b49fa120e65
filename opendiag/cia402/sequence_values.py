"""Single values of a sequence: amounts with units, times, numbers, words."""

from __future__ import annotations

import math

from opendiag.cia402.sequence import Amount
from opendiag.cia402.sequence_yaml import Node, Problems, Text, meant
from opendiag.cia402.units import KNOWN, Units

_TIMES = {"ms": 0.001, "s": 1.0, "min": 60.0, "h": 3600.0}
_EXAMPLES = {
    "position": "2.5 rev",
    "velocity": "300 rpm",
    "acceleration": "10 rev/s^2",
    "torque": "0.5 A",
    "current": "0.5 A",
}


class Values:
    """Each gives something usable also for what is wrong, and tells that."""

    def __init__(self, problems: Problems) -> None:
        self.problems = problems

    def error(self, line: int, text: str) -> None:
        self.problems.add(line, text)

    def amount(self, node: Node, quantity: str) -> Amount | None:
        """A number with a unit of this quantity."""
        if not isinstance(node, Text) or not node.text:
            self.error(node.line, f"expected a {quantity} with a unit, as in '{_EXAMPLES.get(quantity, '1')}'")
            return None
        try:
            value, unit = Units.parse(node.text)
        except ValueError as error:
            self.error(node.line, str(error))
            return None
        unit = unit.removesuffix("/s") if quantity == "torque" and unit.endswith("/s") else unit
        known = KNOWN["torque" if quantity == "current" else quantity]
        if unit and unit not in known:
            self.error(node.line, f"no unit {unit!r} of {quantity}{meant(unit, known)}")
        return Amount(value, unit or None, node.line)

    def seconds(self, node: Node) -> float:
        """A time above 0."""
        text = node.text if isinstance(node, Text) else ""
        try:
            value, unit = Units.parse(text)
            seconds = value * _TIMES[unit or "s"]
        except (ValueError, KeyError):
            seconds = -1.0
        if not 0 < seconds <= 86_400:
            self.error(node.line, f"{text!r} is no time: expected one such as 0.5 s, 500 ms or 2 min")
            return 1.0
        return seconds

    def number(self, node: Node) -> int | float | None:
        text = node.text if isinstance(node, Text) else ""
        try:
            return int(text, 0)
        except ValueError:
            pass
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self.error(
                node.line, f"{text!r} is no number: objects are given in the drive's own counts, as in 5000 or 0x1F"
            )
            return None
        return number

    def whole(self, node: Node | None, line: int, what: str, low: int, high: int) -> int:
        text = node.text if isinstance(node, Text) else ""
        try:
            number = int(text, 0)
        except ValueError:
            number = low - 1
        if not low <= number <= high:
            self.error(
                line if node is None else node.line, f"{text!r} is no {what.split(' ', 1)[1]}: expected {low}..{high}"
            )
            return low
        return number

    def word(self, node: Node, what: str) -> str:
        if isinstance(node, Text) and node.text:
            return node.text
        self.error(node.line, f"expected {what}")
        return ""
