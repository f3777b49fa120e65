"""What candump prints for a list of frames, for any set of options.

`test_candump_text` compares it byte for byte with the recordings of a real candump in tests/vectors/candump.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from opendiag.frame import Frame

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "candump"
COLOUR, PLAIN = "\x1b[1m\x1b[34m", "\x1b[0m"


@dataclass(frozen=True)
class Options:
    """candump's options. ``nanoseconds`` (-N) and ``raw_dlc`` (-8) exist in newer versions only."""

    log: bool = False
    time: str = ""
    nanoseconds: bool = False
    extra: bool = False
    ascii: bool = False
    binary: bool = False
    swapped: bool = False
    raw_dlc: bool = False
    colour: int = 0

    @classmethod
    def named(cls, name: str) -> Options:
        """The option set of a file in tests/vectors/candump: "ccc_tz_x_a_e"."""
        letters = [letter for letter in name if letter not in "_edl"]
        return cls(
            log=name.startswith(("L", "l")),
            time=name[name.index("t") + 1] if "t" in name else name[-1] if name == "extA" else "",
            nanoseconds="N" in letters,
            extra="x" in letters,
            ascii="a" in name.replace("ta", ""),
            binary="i" in letters,
            swapped="S" in letters,
            raw_dlc="8" in letters,
            colour=letters.count("c"),
        )


def frame_of(row: dict) -> Frame:
    """A row of frames.json."""
    error = row.get("error", False)
    return Frame(
        int(row["id"], 16),
        bytes.fromhex(row.get("data", "")),
        extended=len(row["id"]) == 8 and not error,
        remote=row.get("remote", False),
        error=error,
        fd=row.get("fd", False),
        brs=row.get("brs", False),
        esi=row.get("esi", False),
        dlc=row.get("dlc", -1),
    )


SENT = [frame_of(row) for row in json.loads((VECTORS / "frames.json").read_text(encoding="utf-8"))]
