"""The tests' own candump: its lines are those of the real one."""

from __future__ import annotations

import os
import re
from dataclasses import replace

import pytest
from candump_text import RECORDED, SENT, VECTORS, WRITTEN, candump_lines

STAMP = re.compile(r"\([-0-9:. ]+\)")
DETAIL = re.compile(r"(?:\n\t[^\n\x1b]+)+")


def recorded(name: str) -> list[str]:
    """Without what -e adds below error frames."""
    text = (VECTORS / f"{name}.txt").read_text(encoding="ascii")
    return DETAIL.sub("", text).splitlines()


@pytest.mark.parametrize("name", RECORDED)
def test_prints_what_candump_printed(name: str) -> None:
    channel, direction = ("vxcan1", "rx") if name == "x_rx" else ("vcan0", "tx")
    frames = [replace(frame, channel=channel, direction=direction, time_ns=0) for frame in SENT]
    written = candump_lines(frames, RECORDED[name])
    assert [STAMP.sub("()", line) for line in written] == [STAMP.sub("()", line) for line in recorded(name)]


@pytest.mark.parametrize("name", WRITTEN)
def test_the_written_files_are_what_it_prints(name: str) -> None:
    """OPENDIAG_UPDATE_VECTORS=1 writes them anew."""
    start = 1_795_228_858_793_273_419
    frames = [
        replace(frame, channel="vcan0", direction="tx", time_ns=start + place * 5_001_001 + place % 3 * 2_000_000)
        for place, frame in enumerate(SENT)
    ]
    lines = candump_lines(frames, WRITTEN[name])
    if os.environ.get("OPENDIAG_UPDATE_VECTORS"):
        (VECTORS / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines), encoding="ascii")
    assert lines == recorded(name)
