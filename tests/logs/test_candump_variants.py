"""The same frames, recorded by candump in each of its option sets, are the same frames for the reader."""

from __future__ import annotations

import itertools
import json
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import pytest

from opendiag.frame import Frame
from opendiag.logs import open_log

VECTORS = Path(__file__).resolve().parent.parent / "vectors" / "candump"
OTHER_FRAMES = {"drops", "drops_log", "two_channels"}
RECORDED = sorted(path.stem for path in VECTORS.glob("*.txt") if path.stem not in OTHER_FRAMES)


def frame_of(row: dict) -> Frame:
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


def options(name: str) -> set[str]:
    """The letters of the option set: "ccc_tz_x_a_e" has c, t, z, x, a, e."""
    return set(name.removeprefix("written_").replace("_", ""))


def is_log(name: str) -> bool:
    return bool(options(name) & set("Ll"))


def visible(frame: Frame, name: str) -> Frame:
    """What candump's options let the reader see of a frame; time, channel and direction are tested on their own.

    - The console shows BRS and ESI with -x only; log files always have them.
    - A raw data length code above 8 is shown by newer versions only: always in logs, on the console with -8.
    """
    shows_flags = is_log(name) or "x" in options(name)
    shows_raw_dlc = name.startswith("written_") and (is_log(name) or "8" in options(name))
    return replace(
        frame,
        brs=frame.brs and shows_flags,
        esi=frame.esi and shows_flags,
        dlc=-1 if frame.fd else frame.dlc if shows_raw_dlc else min(frame.dlc, 8),
    )


def bare(frame: Frame) -> Frame:
    return replace(frame, time_ns=None, channel=None, direction=None)


def read(name: str, **options: str) -> list[Frame]:
    return list(open_log(VECTORS / f"{name}.txt", **options))


@pytest.mark.parametrize("name", RECORDED)
def test_every_option_set_gives_the_same_frames(name: str) -> None:
    log = open_log(VECTORS / f"{name}.txt")
    frames = list(log)
    assert [bare(frame) for frame in frames] == [visible(frame, name) for frame in SENT]
    assert log.findings == []
    assert (log.frames, log.unread) == (len(SENT), 0)
    assert log.format == ("candump log" if is_log(name) else "candump console")
    assert log.channels == (["vxcan1"] if name == "x_rx" else ["vcan0"])
    assert {frame.channel for frame in frames} == set(log.channels)


@pytest.mark.parametrize("name", RECORDED)
def test_direction(name: str) -> None:
    told = {frame.direction for frame in read(name)}
    assert told == ({"rx"} if name == "x_rx" else {"tx"} if "x" in options(name) else {None})
