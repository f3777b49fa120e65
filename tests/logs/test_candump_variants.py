"""The same frames, as candump prints them in each of its option sets, are the same frames for the reader."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from candump_text import RECORDED, SENT, VECTORS, WRITTEN

from opendiag.frame import Frame
from opendiag.logs import format_log_line, open_log, parse_line

ALL = {**RECORDED, **WRITTEN}
#: 2026-11-21 00:00 UTC; the recordings are of that day. In UTC + 9 h, the zone candump had: 09:00.
MIDNIGHT_NS = 1_795_219_200 * 10**9
ZONE_NS = 9 * 3600 * 10**9


def visible(frame: Frame, name: str) -> Frame:
    """What candump's options let anybody see of a frame; time, channel and direction are tested on their own.

    - The console shows BRS and ESI with -x only; log files always have them.
    - A raw data length code above 8 is shown by newer versions only: always in logs, on the console with -8.
    """
    options = ALL[name]
    flags = options.log or options.extra
    return replace(
        frame,
        brs=frame.brs and flags,
        esi=frame.esi and flags,
        dlc=-1 if frame.fd else frame.dlc if options.raw_dlc else min(frame.dlc, 8),
    )


def bare(frame: Frame) -> Frame:
    return replace(frame, time_ns=None, channel=None, direction=None)


def path(name: str) -> Path:
    return VECTORS / f"{name}.txt"


def times(name: str, **options: str) -> list[int]:
    return [frame.time_ns for frame in open_log(path(name), **options)]


def steps(name: str, **options: str) -> list[int]:
    return [after - before for before, after in pairwise(times(name, **options))]


def test_every_file_is_tested() -> None:
    other_frames = {"drops", "drops_log", "two_channels"}
    assert {file.stem for file in VECTORS.glob("*.txt")} == {*ALL, *other_frames}


@pytest.mark.parametrize("name", ALL)
def test_the_same_frames(name: str) -> None:
    log = open_log(path(name))
    frames = list(log)
    assert [bare(frame) for frame in frames] == [visible(frame, name) for frame in SENT]
    assert (log.frames, log.unread, log.findings) == (len(SENT), 0, [])
    assert log.format == ("candump log" if ALL[name].log else "candump console")
    assert log.channels == (["vxcan1"] if name == "x_rx" else ["vcan0"])
    assert {frame.channel for frame in frames} == set(log.channels)


@pytest.mark.parametrize("name", ALL)
def test_direction_where_x_tells_it(name: str) -> None:
    told = {frame.direction for frame in open_log(path(name))}
    assert told == ({"rx"} if name == "x_rx" else {"tx"} if ALL[name].extra else {None})


@pytest.mark.parametrize("name", ALL)
def test_kind_of_time(name: str) -> None:
    log = open_log(path(name))
    has_time = [frame.time_ns is not None for frame in log]
    letter = "a" if ALL[name].log else ALL[name].time
    assert log.time_kind == {"": "none", "a": "absolute", "A": "local", "d": "delta", "z": "zero"}[letter]
    assert has_time == [letter != ""] * len(SENT)


@pytest.mark.parametrize("name", [name for name in ALL if ALL[name].time in ("a", "A") or ALL[name].log])
def test_times_are_of_the_day_of_the_recording(name: str) -> None:
    """Local time is kept as it stands: there is no zone in the file."""
    earliest = MIDNIGHT_NS + (ZONE_NS if ALL[name].time == "A" and name in RECORDED else 0)
    assert earliest < times(name)[0] < times(name)[-1] < earliest + 3 * 3600 * 10**9


@pytest.mark.parametrize("name", [name for name in RECORDED if ALL[name].time or ALL[name].log])
def test_running_times_are_the_pauses_of_the_sender(name: str) -> None:
    """It paused 2, 5 and 8 ms in turn: differences (-t d) were summed up, everything else was taken as it is."""
    pauses = [2, 5, 8] * (len(SENT) // 3)
    assert all(pause <= step / 10**6 < pause + 3 for pause, step in zip(pauses, steps(name), strict=False))
    assert len(steps(name)) == len(SENT) - 1


def test_exact_times() -> None:
    assert times("ta")[:2] == [1_795_228_858_793_273_000, 1_795_228_858_795_418_000]
    assert times("written_ta_N")[:2] == [1_795_228_858_793_273_419, 1_795_228_858_800_274_420]
    assert times("tz")[:3] == [0, 2_121_000, 7_218_000]
    assert times("td")[:3] == [0, 2_137_000, 7_253_000]
    assert times("written_td_N")[:4] == [0, 7_001_001, 14_002_002, 15_003_003]


def test_time_letter_of_the_user_wins() -> None:
    assert times("td", time="z")[:3] == [0, 2_137_000, 5_116_000]
    assert times("tz", time="d")[:3] == [0, 2_121_000, 2_121_000 + 7_218_000]


def test_two_channels() -> None:
    """candump aligns names of different length to the right."""
    frames = list(open_log(path("two_channels")))
    assert [(frame.channel, frame.direction) for frame in frames] == [("vxcan1", "rx")] * 2 + [("vcan0", "tx")] * 2 + [
        ("vxcan1", "rx")
    ] * 2 + [("vcan0", "tx")] * 2
    assert [bare(frame) for frame in frames] == SENT[:8]


@pytest.mark.parametrize("name", ["drops", "drops_log"])
def test_dropped_frames_are_reported(name: str) -> None:
    log = open_log(path(name))
    assert [(frame.can_id, frame.extended) for frame in log] == [(0, True), (1, True), (2, True), (0x123, False)]
    (finding,) = log.findings
    assert (finding.code, finding.line, log.unread) == ("log-drop-count", 4, 0)
    assert "57 frames" in finding.sentence


@pytest.mark.parametrize("name", ["L", "l", "Lx", "written_L_8", "written_L_N"])
def test_our_own_log_lines_are_those_of_candump(name: str) -> None:
    """But for the FD flags: today's kernels add 4 (FDF), which says no more than the ## before it."""
    lines = path(name).read_text(encoding="ascii").splitlines()
    digits = 9 if ALL[name].nanoseconds else 6
    ours = [format_log_line(parse_line(line), digits) for line in lines]
    assert ours == [without_fdf(line) for line in lines]


def without_fdf(line: str) -> str:
    before, mark, rest = line.partition("##")
    return f"{before}{mark}{int(rest[0]) & 3}{rest[1:]}" if mark else line
