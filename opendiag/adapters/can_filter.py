"""Filters as candump and the Linux kernel have them: ``123:7FF,700~780,#FFFFFFFF``, joined with commas.

    123:7FF          frames whose identifier, with this mask, is this one
    123~7FF          all but those
    #1FFFFFFF        error frames of these classes (linux/can/error.h); without it there are none
    j                a frame has to pass every filter; without it, one of them
    123, 00000123    this standard (3 digits) or extended (8 digits) identifier: 123:800007FF, 00000123:9FFFFFFF

All numbers are hexadecimal. An identifier of 8 digits is an extended one. The identifier and the mask have the kernel's
flags on top: 80000000 extended, 40000000 remote. So ``123:7FF`` takes remote frames and, when their lower 11 bits
fit, extended ones too; ``123:C00007FF`` takes standard data frames only. The last form is ours; candump has none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from opendiag.errors import BadFilter
from opendiag.frame import MAX_EXTENDED_ID, MAX_STANDARD_ID, Frame

#: linux/can.h; an inverted filter has the flag of error frames in its identifier.
EXTENDED, REMOTE, INVERTED = 0x8000_0000, 0x4000_0000, 0x2000_0000
#: CAN_RAW_FILTER_MAX of the kernel.
MAX_FILTERS = 512
_ALL_BITS = 0xFFFF_FFFF

_PAIR = re.compile(r"(?:0x)?([0-9a-f]+)\s*([:~])\s*(?:0x)?([0-9a-f]+)", re.IGNORECASE | re.ASCII)
_ERRORS = re.compile(r"#\s*(?:0x)?([0-9a-f]{1,8})", re.IGNORECASE | re.ASCII)
_BARE = re.compile(r"(?:0x)?([0-9a-f]+)", re.IGNORECASE | re.ASCII)
_EXPECTED = "expected ID:MASK, ID~MASK or #ERRORMASK in hexadecimal, such as 123:7FF"


@dataclass(frozen=True)
class IdFilter:
    """``can_id`` and ``mask`` with the kernel's flags; ``inverted``: whatever does not fit passes."""

    can_id: int
    mask: int
    inverted: bool = False

    def __str__(self) -> str:
        digits = 8 if self.can_id & EXTENDED else 3  # eight digits say "extended" by themselves
        return f"{self.can_id & ~EXTENDED:0{digits}X}{'~' if self.inverted else ':'}{self.mask:03X}"

    def rule(self) -> tuple[int, int, bool]:
        """(identifier, mask, inverted) as the kernel compares them."""
        mask = self.mask & ~INVERTED & _ALL_BITS
        if mask & EXTENDED and not self.can_id & EXTENDED:
            mask &= MAX_STANDARD_ID | EXTENDED | REMOTE
        return self.can_id & mask, mask, self.inverted


@dataclass(frozen=True)
class CanFilter:
    """Without ``filters`` every frame but error frames passes. ``error_mask`` has the classes of error frames.

    ``join``: a frame has to pass all of them. ``str()`` is the text that gives this filter again.
    """

    filters: tuple[IdFilter, ...] = ()
    error_mask: int = 0
    join: bool = False
    _rules: tuple[tuple[int, int, bool], ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_rules", tuple(entry.rule() for entry in self.filters))

    def __str__(self) -> str:
        errors = [f"#{self.error_mask:X}"] if self.error_mask else []
        return ",".join([*map(str, self.filters), *errors, *(["j"] if self.join else [])]) or "0:0"

    def matches(self, frame: Frame) -> bool:
        """Would the kernel hand this frame to a socket with this filter?"""
        if frame.error:
            # The kernel counts an error frame as one filter passed, and joined ones have all to be passed.
            return bool(frame.can_id & self.error_mask) and not (self.join and len(self._rules) > 1)
        if not self._rules:
            return True
        seen = frame.can_id
        if frame.extended:
            seen |= EXTENDED
        if frame.remote:
            seen |= REMOTE
        if self.join:
            return all((seen & mask == can_id) is not inverted for can_id, mask, inverted in self._rules)
        return any((seen & mask == can_id) is not inverted for can_id, mask, inverted in self._rules)

    def kernel(self) -> list[tuple[int, int]]:
        """(can_id, can_mask) of each, as the socket option CAN_RAW_FILTER takes them; without filters, all frames.

        ``error_mask`` belongs to CAN_RAW_ERR_FILTER and ``join`` to CAN_RAW_JOIN_FILTERS.
        """
        return [
            (entry.can_id | (INVERTED if entry.inverted else 0), entry.mask & ~INVERTED) for entry in self.filters
        ] or [(0, 0)]


def parse_filters(text: str) -> CanFilter:
    """Raise BadFilter, which says which part was not understood and what is expected."""
    filters: list[IdFilter] = []
    error_mask: int | None = None
    join = False
    for number, part in enumerate(text.split(","), 1):
        item = part.strip(" \t\r\n")
        if item in ("j", "J"):
            join = True
        elif item.startswith("#"):
            if error_mask is not None:
                raise BadFilter(text, "two error masks: join their bits into one")
            error_mask = _error_mask(text, item)
        else:
            filters.append(_id_filter(text, item, number))
    if len(filters) > MAX_FILTERS:
        raise BadFilter(text, f"{len(filters)} filters: the kernel takes {MAX_FILTERS} at most")
    return CanFilter(tuple(filters), error_mask or 0, join)


def _error_mask(text: str, item: str) -> int:
    found = _ERRORS.fullmatch(item)
    if not found:
        raise BadFilter(
            text, f"{item!r} is no error mask: expected # and up to 8 hexadecimal digits, such as #1FFFFFFF"
        )
    return int(found[1], 16) & MAX_EXTENDED_ID


def _id_filter(text: str, item: str, number: int) -> IdFilter:
    if pair := _PAIR.fullmatch(item):
        can_id, mask = _number(text, item, "identifier", pair[1]), _number(text, item, "mask", pair[3])
        if len(pair[1]) == 8:
            can_id |= EXTENDED
        inverted = pair[2] == "~" or bool(can_id & INVERTED)
        return IdFilter(can_id & ~INVERTED, mask & ~INVERTED, inverted)
    if bare := _BARE.fullmatch(item):
        return _exactly(text, item, bare[1])
    raise BadFilter(text, _not_understood(item, number))


def _exactly(text: str, item: str, digits: str) -> IdFilter:
    can_id = _number(text, item, "identifier", digits)
    if len(digits) == 8 and can_id <= MAX_EXTENDED_ID:
        return IdFilter(can_id | EXTENDED, MAX_EXTENDED_ID | EXTENDED)
    if len(digits) <= 3 and can_id <= MAX_STANDARD_ID:
        return IdFilter(can_id, MAX_STANDARD_ID | EXTENDED)
    expected = "3 digits up to 7FF for a standard identifier, 8 up to 1FFFFFFF for an extended one"
    raise BadFilter(text, f"{item!r} is no identifier: expected {expected}")


def _number(text: str, item: str, what: str, digits: str) -> int:
    if len(digits) > 8:
        raise BadFilter(text, f"the {what} of {item!r} has {len(digits)} digits: expected 8 at most")
    return int(digits, 16)


def _not_understood(item: str, number: int) -> str:
    if not item:
        return f"part {number} is empty; {_EXPECTED}"
    if re.fullmatch(r"any|v?s?l?can\d+|vxcan\d+", item):
        return f"{item!r} is an interface: it is named elsewhere (-i); {_EXPECTED}"
    for sign, what in ((":", "after the colon"), ("~", "after the ~")):
        before, found, mask = item.partition(sign)
        if found and not before.strip():
            return f"{item!r} has no identifier before the {sign}; {_EXPECTED}"
        if found and _BARE.fullmatch(before.strip()):
            return f"{mask!r} {what} of {item!r} is no mask; {_EXPECTED}"
        if found:
            return f"{before!r} in {item!r} is no identifier; {_EXPECTED}"
    return f"{item!r} is no filter; {_EXPECTED}"
