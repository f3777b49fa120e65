"""Made-up frames, with cangen's ways to choose identifiers, lengths and data."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import count
from random import Random

from opendiag.frame import FD_LENGTHS, MAX_EXTENDED_ID, MAX_STANDARD_ID, Frame

_HEX = re.compile(r"[0-9a-fx]+", re.IGNORECASE | re.ASCII)
_MAX_DLC = 15


@dataclass(frozen=True)
class Recipe:
    """``ids``, ``length`` and ``data`` as in cangen: r random, i counting up, or a value; ids also e even and o odd.

    Values are hexadecimal, lengths decimal; an x in them is a random digit. ``length`` None: as long as the data that
    were given, else random. ``mix``: some are extended, some remote, and with ``fd`` some CAN FD.
    """

    ids: str = "r"
    length: str | None = None
    data: str = "r"
    extended: bool = False
    fd: bool = False
    brs: bool = False
    esi: bool = False
    remote: bool = False
    raw_dlc: bool = False
    mix: bool = False


def generate(recipe: Recipe, random: Random) -> Iterator[Frame]:
    """Frames without end. Raises ValueError at once for a recipe that makes no frames."""
    fixed = recipe.data not in ("r", "i")
    digits = _hex_text(recipe.data, "data") if fixed else ""
    if len(digits) % 2:
        raise ValueError(f"data {recipe.data!r} has half a byte: expected two digits for each")
    most = 64 if recipe.fd else 8
    if len(digits) > 2 * most:
        raise ValueError(f"data of {len(digits) // 2} bytes: {most} at most{'' if recipe.fd else ' (64 with CAN FD)'}")
    if recipe.remote and recipe.fd and not recipe.mix:
        raise ValueError("CAN FD has no remote frames")
    if (recipe.brs or recipe.esi) and not recipe.fd:
        raise ValueError("BRS and ESI exist in CAN FD frames only")
    length = recipe.length if recipe.length is not None else (str(len(digits) // 2) if fixed else "r")
    return _frames(recipe, random, _id_maker(recipe, random), _dlc_maker(recipe, length, random), digits)


def _frames(
    recipe: Recipe, random: Random, make_id: Callable[[bool], int], make_dlc: Callable[[bool], int], digits: str
) -> Iterator[Frame]:
    for number in count():
        extended, fd, remote = recipe.extended, recipe.fd, recipe.remote
        brs, esi = recipe.brs, recipe.esi
        if recipe.mix:
            extended = random.random() < 0.5
            fd = recipe.fd and random.random() < 0.5
            remote = not fd and random.random() < 0.25
            brs, esi = (fd and random.random() < 0.5 for _ in "be")
        can_id, dlc = make_id(extended), make_dlc(fd)
        if remote:
            yield Frame(can_id, extended=extended, remote=True, dlc=dlc)
            continue
        if recipe.data == "i":
            dlc = max(dlc, 1)
        length = FD_LENGTHS[dlc] if fd else min(dlc, 8)
        data = _data(recipe.data, digits, length, number, random)
        yield Frame(can_id, data, extended=extended, fd=fd, brs=brs, esi=esi, dlc=dlc)


def _data(mode: str, digits: str, length: int, number: int, random: Random) -> bytes:
    if mode == "r":
        return random.randbytes(length)
    if mode == "i":
        return (number % 2**64).to_bytes(8, "little").ljust(length, b"\0")[:length]
    return bytes.fromhex(_filled(digits, random)).ljust(length, b"\0")[:length]


def _id_maker(recipe: Recipe, random: Random) -> Callable[[bool], int]:
    mode = recipe.ids.lower()

    def limit(extended: bool) -> int:
        return MAX_EXTENDED_ID if extended else MAX_STANDARD_ID

    if mode == "r":
        return lambda extended: random.randint(0, limit(extended))
    if mode == "e":
        return lambda extended: random.randint(0, limit(extended)) & ~1
    if mode == "o":
        return lambda extended: random.randint(0, limit(extended)) | 1
    if mode == "i":
        numbers = count()
        return lambda extended: next(numbers) & limit(extended)
    text = _hex_text(mode, "identifier")
    lowest, highest = (int(text.replace("x", digit), 16) for digit in "0f")
    if lowest > limit(recipe.extended):  # a random digit that is too high loses its upper bits
        more = "" if recipe.extended else "; extended identifiers need -e"
        raise ValueError(f"identifier {recipe.ids} is above {limit(recipe.extended):X}{more}")
    if recipe.mix and highest > MAX_STANDARD_ID:
        raise ValueError(f"identifier {recipe.ids} is above 7FF: a mix has standard identifiers as well")
    return lambda extended: int(_filled(text, random), 16) & limit(extended)


def _dlc_maker(recipe: Recipe, length: str, random: Random) -> Callable[[bool], int]:
    """Data length codes."""

    def top(fd: bool) -> int:
        return _MAX_DLC if fd or recipe.raw_dlc else 8

    if length == "r":
        return lambda fd: random.randint(0, top(fd))
    if length == "i":
        numbers = count()
        return lambda fd: next(numbers) % (top(fd) + 1)
    if not (length.isascii() and length.isdecimal() and len(length) < 4):
        raise ValueError(f"length {length!r}: expected r, i or a number of bytes")
    number = int(length)
    if recipe.fd:
        dlc = next((dlc for dlc, bytes_ in enumerate(FD_LENGTHS) if bytes_ >= number), None)
        if dlc is None:
            raise ValueError(f"length {number}: a CAN FD frame has 64 bytes at most")
        return lambda fd: dlc if fd else min(dlc, 8)
    if number > (_MAX_DLC if recipe.raw_dlc else 8):
        raise ValueError(f"length {number}: a classic frame has 8 bytes at most; -8 allows length codes up to 15")
    return lambda fd: number


def _hex_text(text: str, what: str) -> str:
    bare = text.replace(".", "")
    if not _HEX.fullmatch(bare):
        raise ValueError(f"{what} {text!r}: expected r, i or hexadecimal digits, x for a random one")
    return bare.lower()


def _filled(digits: str, random: Random) -> str:
    return re.sub("x", lambda _: f"{random.randrange(16):x}", digits) if "x" in digits else digits
