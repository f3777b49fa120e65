"""Whatever candump prints is read back; whatever it does not print is no frame."""

from __future__ import annotations

import io
import re
from dataclasses import replace

import pytest
from candump_text import SENT, Options, candump_lines
from hypothesis import example, given
from hypothesis import strategies as st

from opendiag.errors import NotALine, NotALog
from opendiag.frame import FD_LENGTHS, Frame
from opendiag.logs import format_log_line, open_log, parse_line

NS = 10**9
identifiers = st.one_of(
    st.tuples(st.integers(0, 0x7FF), st.just(False)), st.tuples(st.integers(0, 0x1FFF_FFFF), st.just(True))
)
channels = st.sampled_from(["can0", "vcan12", "slcan0", "can_a", "vxcan1", "any-0", "c.1"])
times = st.integers(1_000_000_000 * NS, 9_999_999_999 * NS)


@st.composite
def frames(draw: st.DrawFn) -> Frame:
    can_id, extended = draw(identifiers)
    kind = draw(st.sampled_from(["classic", "classic", "remote", "fd", "error"]))
    common = {"channel": draw(channels), "direction": draw(st.sampled_from(["rx", "tx"])), "time_ns": draw(times)}
    if kind == "error":
        return Frame(can_id, draw(st.binary(min_size=8, max_size=8)), error=True, **common)
    if kind == "remote":
        return Frame(can_id, extended=extended, remote=True, dlc=draw(st.integers(0, 15)), **common)
    if kind == "fd":
        length = draw(st.sampled_from(FD_LENGTHS))
        data = draw(st.binary(min_size=length, max_size=length))
        brs, esi = draw(st.booleans()), draw(st.booleans())
        return Frame(can_id, data, extended=extended, fd=True, brs=brs, esi=esi, **common)
    data = draw(st.binary(max_size=8))
    dlc = draw(st.integers(8, 15)) if len(data) == 8 else len(data)
    return Frame(can_id, data, extended=extended, dlc=dlc, **common)


console_options = st.builds(
    Options,
    time=st.sampled_from(["", "a", "A"]),
    nanoseconds=st.booleans(),
    extra=st.booleans(),
    ascii=st.booleans(),
    binary=st.booleans(),
    swapped=st.booleans(),
    raw_dlc=st.booleans(),
    colour=st.integers(0, 3),
)
log_options = st.builds(
    Options, log=st.just(True), nanoseconds=st.booleans(), extra=st.booleans(), raw_dlc=st.booleans()
)


def visible(frame: Frame, options: Options) -> Frame:
    """What these options let anybody see."""
    flags = options.log or options.extra
    timed = options.log or options.time
    time_ns = frame.time_ns if options.nanoseconds else frame.time_ns // 1000 * 1000
    return replace(
        frame,
        time_ns=time_ns if timed else None,
        direction=frame.direction if options.extra else None,
        brs=frame.brs and flags,
        esi=frame.esi and flags,
        dlc=-1 if frame.fd else frame.dlc if options.raw_dlc else min(frame.dlc, 8),
    )


def read(text: str) -> list[Frame]:
    return list(open_log(io.StringIO(text)))


@given(st.lists(frames(), min_size=1, max_size=6), st.one_of(console_options, log_options))
def test_what_candump_prints_is_read_back(sent: list[Frame], options: Options) -> None:
    lines = candump_lines(sent, options)
    assert read("\n".join(lines)) == [visible(frame, options) for frame in sent]


@given(frames(), st.one_of(console_options, log_options))
def test_one_line_as_somebody_pastes_it(sent: Frame, options: Options) -> None:
    assert parse_line(candump_lines([sent], options)[0]) == visible(sent, options)


@given(frames())
def test_format_log_line_and_back(frame: Frame) -> None:
    assert parse_line(format_log_line(frame, 9)) == frame
    assert parse_line(format_log_line(frame, 6)) == replace(frame, time_ns=frame.time_ns // 1000 * 1000)


@given(st.lists(st.integers(0, 5 * NS), min_size=2, max_size=30), st.booleans())
def test_differences_and_times_since_the_start_say_the_same(pauses: list[int], nanoseconds: bool) -> None:
    now, sent = 1_700_000_000 * NS, []
    for pause in pauses:
        now += pause if nanoseconds else pause // 1000 * 1000
        sent.append(replace(SENT[0], channel="can0", time_ns=now))
    expected = [frame.time_ns - sent[0].time_ns for frame in sent]
    for letter in "dz":
        text = "\n".join(candump_lines(sent, Options(time=letter, nanoseconds=nanoseconds)))
        assert [frame.time_ns for frame in open_log(io.StringIO(text), time=letter)] == expected


CONSOLE = re.compile(r"(?<![0-9A-Fa-f])([0-9A-Fa-f]{8}|[0-9A-Fa-f]{3})\s+[\[{]([0-9A-F]+)[\]}](.*)", re.DOTALL)
LOG = re.compile(r"(?<![0-9A-Fa-f])([0-9A-Fa-f]{8}|[0-9A-Fa-f]{3})#(\S*)")


def holds(line: str, frame: Frame) -> bool:
    """Does the line say this frame? Judged by search, not by the reader's own expressions."""
    text = re.sub("\x1b\\[[0-9;]*m", "", line)
    if (log := LOG.search(text)) is not None:
        body = log[2].lstrip("#")
        return int(log[1], 16) & 0x1FFF_FFFF == frame.can_id and (
            frame.remote or frame.data.hex() in body.replace(".", "").lower()
        )
    found = CONSOLE.search(text)
    if found is None or int(found[1], 16) & 0x1FFF_FFFF != frame.can_id:
        return False
    if frame.remote:
        return "remote request" in found[3]
    count = min(int(found[2], 16), 8) if len(found[2]) == 1 else int(found[2])
    tokens = re.findall(r"\b(?:[01]{8}|[0-9A-Fa-f]{2})\b", re.split("['\u0060]*[']", found[3])[0])[:count]
    data = bytes(int(token, 2 if len(token) == 8 else 16) for token in tokens)
    return len(data) == count and frame.data in (data, data[::-1])


WORDS = "bad add fade dead 665 [8] [2] (0.1) can0 RX 0x123 remote request 12:34 de ad be ef 4E5 #11 ERRORFRAME <0x123>"
words = st.lists(st.sampled_from([*WORDS.split(), "the", "node", "is", "{9}", "-", "'"]), max_size=14).map(" ".join)
anything = st.one_of(st.text(max_size=80), words)


@st.composite
def damaged_lines(draw: st.DrawFn) -> str:
    """A line of candump with a few characters taken out, put in or replaced."""
    line = draw(
        st.one_of(console_options, log_options).flatmap(lambda o: frames().map(lambda f: candump_lines([f], o)[0]))
    )
    for _ in range(draw(st.integers(1, 4))):
        place = draw(st.integers(0, len(line)))
        inserted = draw(st.text("0123ABF[]{}() `'#:._-RT\tg", max_size=2))
        line = line[:place] + inserted + line[place + draw(st.integers(0, 2)) :]
    return line


@given(st.lists(anything, max_size=8))
@example(["\ufeff", "\0", "\x85", "\u2028"])
def test_text_never_raises_but_at_the_end(lines: list[str]) -> None:
    log = open_log(io.StringIO("\n".join(lines)))
    try:
        assert len(list(log)) == log.frames > 0
    except NotALog as error:
        assert log.frames == 0
        assert error.lines == log.lines
        assert "expected candump output" in str(error)
    assert log.unread == sum(
        int(found[1]) if (found := re.search(r"(\d+) lines", finding.sentence)) else 1
        for finding in log.findings
        if finding.assumed == "skipped"
    )


@given(st.one_of(anything, damaged_lines()))
def test_only_a_line_that_holds_a_frame_gives_one(line: str) -> None:
    try:
        (*_, frame) = read(line.replace("\n", " ").replace("\r", " "))
    except NotALog:
        return
    assert holds(line, frame), (line, frame)


@given(damaged_lines())
def test_parse_line_says_no_in_its_own_way(line: str) -> None:
    try:
        frame = parse_line(line)
    except NotALine as error:
        assert str(error).startswith(repr(line))
    else:
        assert isinstance(frame, Frame)


@pytest.mark.parametrize("frame", SENT)
def test_the_judge_knows_frames(frame: Frame) -> None:
    for options in (Options(), Options(log=True), Options(binary=True), Options(swapped=True), Options(ascii=True)):
        (line,) = candump_lines([replace(frame, channel="can0")], options)
        assert holds(line, frame)
        assert not holds(line, replace(frame, can_id=frame.can_id ^ 1))
