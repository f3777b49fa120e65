"""Units of a drive: from what a script says (2.5 rev, 300 rpm, 1.2 A) to the counts in the drive's objects, and back.

They come from the drive's own objects, from what is known of its kind, from a file, or from the script.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from opendiag.cia402.link import DriveLink
from opendiag.cia402.objects import (
    ENCODER_RESOLUTION,
    FEED_CONSTANT,
    GEAR_RATIO,
    POLARITY,
    RATED_CURRENT,
    RATED_TORQUE,
    SI_ACCELERATION,
    SI_POSITION,
    SI_VELOCITY,
)
from opendiag.cia402.quirks import SERVOTRONIX, STEPIM
from opendiag.errors import DictionaryFileError, UnknownTarget
from opendiag.services.plans import Plan

_TAU = 2 * math.pi
#: quantity -> unit -> (what it is measured in, how much of that). "counts" are those of the position, "raw" is the
#: number in the drive's object as it is.
KNOWN: Mapping[str, Mapping[str, tuple[str, float]]] = {
    "position": {
        "rev": ("rev", 1.0),
        "deg": ("rev", 1 / 360),
        "rad": ("rev", 1 / _TAU),
        "mm": ("mm", 1.0),
        "um": ("mm", 0.001),
        "m": ("mm", 1000.0),
        "counts": ("counts", 1.0),
        "raw": ("raw", 1.0),
    },
    "velocity": {
        "rpm": ("rev", 1 / 60),
        "rev/s": ("rev", 1.0),
        "deg/s": ("rev", 1 / 360),
        "rad/s": ("rev", 1 / _TAU),
        "mm/s": ("mm", 1.0),
        "mm/min": ("mm", 1 / 60),
        "m/s": ("mm", 1000.0),
        "counts/s": ("counts", 1.0),
        "raw": ("raw", 1.0),
    },
    "acceleration": {
        "rpm/s": ("rev", 1 / 60),
        "rev/s^2": ("rev", 1.0),
        "deg/s^2": ("rev", 1 / 360),
        "rad/s^2": ("rev", 1 / _TAU),
        "mm/s^2": ("mm", 1.0),
        "m/s^2": ("mm", 1000.0),
        "counts/s^2": ("counts", 1.0),
        "raw": ("raw", 1.0),
    },
    "torque": {
        "%": ("%", 1.0),
        "A": ("mA", 1000.0),
        "mA": ("mA", 1.0),
        "Nm": ("mNm", 1000.0),
        "mNm": ("mNm", 1.0),
        "raw": ("raw", 1.0),
    },
}
_KNOWN = {**KNOWN, "current": KNOWN["torque"]}
_NUMBER = re.compile(r"\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*(\S*)\s*")

#: What 60A8h..60AAh may hold in bits 16..23: (what it is measured in, how much of that).
_SI = {
    0x01: ("mm", 1000.0),
    0x10: ("rev", 1 / _TAU),
    0x40: ("rev", 1 / 400),
    0x41: ("rev", 1 / 360),
    0x42: ("rev", 1 / 21_600),
    0x43: ("rev", 1 / 1_296_000),
    0xB4: ("rev", 1.0),
    0xB5: ("counts", 1.0),
    0xC1: ("mm", 25.4),
    0xC2: ("mm", 304.8),
}
_MINUTE = 0x47
_POSITION_NOTATION, _POSITION_DIMENSION = 0x6089, 0x608A
_VELOCITY_NOTATION, _VELOCITY_DIMENSION = 0x608B, 0x608C
_ACCELERATION_NOTATION, _ACCELERATION_DIMENSION = 0x608D, 0x608E
_RPM, _LENGTH = 0xA4, 0x01
_POSITION_SIGN, _VELOCITY_SIGN = 0x80, 0x40


class Quantity(NamedTuple):
    """A number as somebody wrote it; ``unit`` "" for none."""

    value: float
    unit: str


@dataclass(frozen=True, slots=True)
class Scale:
    """``factor`` device counts for each ``unit``, a unit of `KNOWN`. Negative: the other way round."""

    factor: float
    unit: str


@dataclass(frozen=True, slots=True)
class Units:
    """What the drive's objects count, and the units that a script means when it names none.

    ``mm_per_rev`` ties turns to lengths. ``torque`` and ``current`` may be given in %, in A or in Nm, as far as
    ``rated_ma`` and ``rated_mnm`` are known. ``source`` tells where each came from.
    """

    position: Scale = Scale(1, "counts")
    velocity: Scale = Scale(1, "counts/s")
    acceleration: Scale = Scale(1, "counts/s^2")
    torque: Scale = Scale(10, "%")
    current: Scale = Scale(10, "%")
    mm_per_rev: float | None = None
    rated_ma: float | None = None
    rated_mnm: float | None = None
    defaults: Mapping[str, str] = field(default_factory=dict)
    source: str = "assumed"
    node_id: int = 0

    # --- names ---

    @staticmethod
    def parse(text: str) -> Quantity:
        """As in "2.5 rev", "-300rpm" or "7". Raise ValueError."""
        found = _NUMBER.fullmatch(text)
        if found is None:
            raise ValueError(f"{text!r} is no number with a unit, as in '2.5 rev'")
        return Quantity(float(found[1]), found[2])

    @staticmethod
    def check_unit(node_id: int, quantity: str, unit: str | None) -> None:
        """Raise UnknownTarget for a unit that no drive has, before anything is asked of one."""
        if unit is not None and unit not in _KNOWN[quantity]:
            raise UnknownTarget(node_id, f"unit of {quantity}", unit, tuple(_KNOWN[quantity]))

    def default(self, quantity: str) -> str:
        """The unit that is meant when none is named: what was chosen, else turns, mm, or counts."""
        chosen = self.defaults.get(quantity)
        if chosen is not None:
            return chosen
        base = self._base(self.scale(quantity), quantity)
        return _DEFAULTS[quantity].get(base, self.scale(quantity).unit)

    def scale(self, quantity: str) -> Scale:
        """That of "position", "velocity", "acceleration", "torque" or "current"."""
        made: Scale = getattr(self, quantity)
        return made

    def available(self, quantity: str) -> tuple[str, ...]:
        """Units that this drive's objects can be given in."""
        return tuple(unit for unit in _KNOWN[quantity] if self._counts_per(quantity, unit) is not None)

    # --- numbers ---

    def counts(self, quantity: str, given: float | str, unit: str | None = None) -> int:
        """As `to_device`; text as in "2.5 rev" names its own unit. Raise as it."""
        if isinstance(given, str):
            value, own = self.parse(given)
            return self.to_device(quantity, value, own or unit)
        return self.to_device(quantity, given, unit)

    def to_device(self, quantity: str, value: float, unit: str | None = None) -> int:
        """The number for the drive's object. Raise UnknownTarget; ValueError for what is no finite number."""
        if isinstance(value, bool) or not math.isfinite(value):
            raise ValueError(f"{quantity} {value!r} is no finite number; nothing was sent")
        return round(value * self.counts_per(quantity, unit))

    def from_device(self, quantity: str, counts: float, unit: str | None = None) -> float:
        """What a number of the drive's object is. Raise UnknownTarget."""
        return counts / self.counts_per(quantity, unit)

    def counts_per(self, quantity: str, unit: str | None = None) -> float:
        """Device counts for one of these. Raise UnknownTarget for a unit that nothing is known of here."""
        unit = self.default(quantity) if unit is None else unit
        self.check_unit(self.node_id, quantity, unit)
        found = self._counts_per(quantity, unit)
        if found is None:
            raise UnknownTarget(self.node_id, f"unit of {quantity} for this drive", unit, self.available(quantity))
        return found

    def _counts_per(self, quantity: str, unit: str) -> float | None:
        base, amount = _KNOWN[quantity][unit]
        if base == "raw":
            return 1.0
        scale = self.scale(quantity)
        own_base, own_amount = _KNOWN[quantity][scale.unit]
        bridge = self._bridge(base, own_base)
        return None if bridge is None else scale.factor * amount * bridge / own_amount

    def _base(self, scale: Scale, quantity: str) -> str:
        return _KNOWN[quantity][scale.unit][0]

    def _bridge(self, base: str, other: str) -> float | None:
        """How many of ``other`` one of ``base`` is."""
        if base == other:
            return 1.0
        sizes = {"%": 1.0, "mA": self.rated_ma and 100 / self.rated_ma, "mNm": self.rated_mnm and 100 / self.rated_mnm}
        if base not in sizes:
            unit = self.position.unit
            own, amount = KNOWN["position"][unit]
            sizes = {own: 1.0}
            if self.mm_per_rev:
                sizes.update({"rev": 1.0, "mm": 1 / self.mm_per_rev})
            per = sizes[own]
            if per and self.position.factor:
                sizes["counts"] = per * amount / abs(self.position.factor)
        one, another = sizes.get(base), sizes.get(other)
        return one / another if one and another else None

    # --- where they come from ---

    @classmethod
    def of(cls, given: Units | Mapping[str, Any] | str | Path, node_id: int = 0) -> Units:
        """From what a script gives: `Units`, a mapping as in a units file, or the path of one.

        Raise ValueError, DictionaryFileError.
        """
        if isinstance(given, Units):
            return replace(given, node_id=node_id)
        if isinstance(given, Mapping):
            return replace(_from_mapping(given), node_id=node_id, source="given by the script")
        return replace(cls.load(given), node_id=node_id)

    @classmethod
    def load(cls, path: str | Path) -> Units:
        """A units file (YAML). Raise DictionaryFileError for one that cannot be used."""
        import yaml

        try:
            content = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
            if not isinstance(content, Mapping):
                raise ValueError("it is no mapping such as 'position: {rev: 4096}'")
            return replace(_from_mapping(content), source=str(path))
        except (OSError, ValueError, yaml.YAMLError) as error:
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise DictionaryFileError(str(path), None, f"no units can be taken from it: {reason}") from error


_DEFAULTS: Mapping[str, Mapping[str, str]] = {
    "position": {"rev": "rev", "mm": "mm"},
    "velocity": {"rev": "rpm", "mm": "mm/s"},
    "acceleration": {"rev": "rev/s^2", "mm": "mm/s^2"},
    "torque": {"mA": "A", "mNm": "Nm"},
    "current": {"mA": "A"},
}
_NUMBERS = ("mm_per_rev", "rated_ma", "rated_mnm")

#: Counts of 4096 a turn, 0.01 rpm and mA. Accelerations are taken for rpm per second.
STEPIM_UNITS = Units(
    Scale(4096, "rev"),
    Scale(100, "rpm"),
    Scale(1, "rpm/s"),
    Scale(1, "mA"),
    Scale(1, "mA"),
    source="known of the StepIM",
)
#: (vendor-ID, product code) -> the units of that kind of drive.
BUILT_IN: Mapping[tuple[int, int], Units] = {(SERVOTRONIX, STEPIM): STEPIM_UNITS}


def _from_mapping(given: Mapping[str, Any]) -> Units:
    """As in {"position": {"rev": 4096}, "velocity": {"rpm": 100}, "mm_per_rev": 5, "defaults": {"position": "mm"}}.

    What is not given follows from the position: velocities in counts per second, accelerations in those per second.
    Raise ValueError.
    """
    made: dict[str, Any] = {}
    for key, value in given.items():
        if key in _KNOWN:
            made[key] = _scale(key, value)
        elif key in _NUMBERS:
            made[key] = _positive(key, value)
        elif key == "defaults" and isinstance(value, Mapping):
            for quantity, unit in value.items():
                if quantity not in _KNOWN or unit not in _KNOWN[quantity]:
                    raise ValueError(f"no unit {unit!r} of {quantity!r}")
            made[key] = dict(value)
        else:
            raise ValueError(f"{key!r} is none of {', '.join([*_KNOWN, *_NUMBERS, 'defaults'])}")
    if "torque" in made:
        made.setdefault("current", made["torque"])
    return Units(**made)


def _scale(quantity: str, given: Any) -> Scale:
    if not isinstance(given, Mapping) or len(given) != 1:
        raise ValueError(f"{quantity} {given!r}: expected one unit and its counts, as in {{rev: 4096}}")
    unit, factor = next(iter(given.items()))
    if unit not in _KNOWN[quantity] or unit == "raw":
        raise ValueError(f"no unit {unit!r} of {quantity}: expected one of {', '.join(_KNOWN[quantity])}")
    if isinstance(factor, bool) or not isinstance(factor, int | float) or not math.isfinite(factor) or not factor:
        raise ValueError(f"{quantity}: {factor!r} counts per {unit} are no number but 0")
    return Scale(float(factor), unit)


def _positive(key: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not (math.isfinite(value) and value > 0):
        raise ValueError(f"{key} {value!r} is no positive number")
    return float(value)


# --- from the drive's own objects -------------------------------------------------------------------------------------


def units_of(link: DriveLink, product_code: int | None = None) -> Plan[Units]:
    """What the drive tells: 60A8h..60AAh, 6089h..608Eh, 608Fh, 6091h, 6092h, 6075h, 6076h; of known kinds it is known.

    A turn is one of the shaft behind the gear. Positions of a drive that tells nothing stay counts. Velocities are
    those of the position: where 607Eh turns round only one of the two, the velocity's scale is negative.
    Raise SdoTimeout, AdapterError.
    """
    rated_ma = (yield from link.read_if_there(RATED_CURRENT)) or None
    polarity = (yield from link.read_if_there(POLARITY)) or 0
    crossed = bool(polarity & _POSITION_SIGN) != bool(polarity & _VELOCITY_SIGN)
    known = BUILT_IN.get((link.vendor_id or 0, product_code or 0))
    if known is not None:
        made = replace(known, rated_ma=rated_ma, node_id=link.node_id)
    else:
        made = yield from _told(link)
        rated_mnm = (yield from link.read_if_there(RATED_TORQUE)) or None
        made = replace(made, rated_ma=rated_ma, rated_mnm=rated_mnm, node_id=link.node_id)
        if link.quirks.torque_in_ma:
            made = replace(made, torque=Scale(1, "mA"), current=Scale(1, "mA"))
    if crossed:
        made = replace(made, velocity=Scale(-made.velocity.factor, made.velocity.unit))
    return made


def _told(link: DriveLink) -> Plan[Units]:
    gear = (yield from _ratio(link, GEAR_RATIO)) or 1.0
    feed = yield from _ratio(link, FEED_CONSTANT)
    encoder = yield from _ratio(link, ENCODER_RESOLUTION)
    increments = encoder * gear if encoder and encoder > 1 else None
    unit = _si((yield from link.read_if_there(SI_POSITION))) or (yield from _old_position(link))
    position, mm_per_rev = Scale(1.0, "counts"), None
    if feed and unit is not None and unit[0] == "mm":  # so many lengths for a turn
        position, mm_per_rev = Scale(1 / unit[1], "mm"), feed * unit[1]
    elif unit is not None and unit[0] != "counts":
        position = Scale(1 / unit[1], unit[0])
    elif feed or increments:
        position = Scale(feed or increments or 1.0, "rev")
    velocity = yield from _rate(link, SI_VELOCITY, _VELOCITY_NOTATION, _VELOCITY_DIMENSION, position, "/s", increments)
    acceleration = yield from _rate(
        link, SI_ACCELERATION, _ACCELERATION_NOTATION, _ACCELERATION_DIMENSION, velocity, "/s^2", increments
    )
    return Units(position, velocity, acceleration, mm_per_rev=mm_per_rev, source="told by the drive")


def _ratio(link: DriveLink, index: int) -> Plan[float | None]:
    above = yield from link.read_if_there(index, 1)
    below = yield from link.read_if_there(index, 2)
    return above / below if above and below else None


def _si(value: int | None) -> tuple[str, float] | None:
    """What one count is, for a value of 60A8h..60AAh; None where it tells nothing."""
    found = _SI.get((value or 0) >> 16 & 0xFF)
    if value is None or found is None:
        return None
    exponent = value >> 24 & 0xFF
    exponent -= 256 if exponent > 127 else 0
    return found[0], found[1] * 10.0**exponent / (60.0 if value >> 8 & 0xFF == _MINUTE else 1.0)


def _old_position(link: DriveLink) -> Plan[tuple[str, float] | None]:
    dimension = yield from link.read_if_there(_POSITION_DIMENSION)
    exponent = (yield from link.read_if_there(_POSITION_NOTATION)) or 0
    return ("mm", 1000.0 * 10.0**exponent) if dimension == _LENGTH else None


def _rate(
    link: DriveLink, si: int, notation: int, dimension: int, of: Scale, per: str, increments: float | None
) -> Plan[Scale]:
    """What the objects say of a velocity, or of an acceleration; without them it is that of ``of``, per second."""
    unit = _si((yield from link.read_if_there(si)))
    if unit is not None and unit[0] == "counts" and increments:
        return Scale(increments / unit[1], f"rev{per}")
    if unit is not None:
        return Scale(1 / unit[1], f"{unit[0]}{per}")
    if (yield from link.read_if_there(dimension)) == _RPM:
        exponent = (yield from link.read_if_there(notation)) or 0
        return Scale(10.0**-exponent, "rpm" if per == "/s" else "rpm/s")
    if of.unit == "rpm":
        return Scale(of.factor, "rpm/s")
    return Scale(of.factor, of.unit.removesuffix("/s") + per)
