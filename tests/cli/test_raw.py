"""`opendiag watch --raw`: the lines of candump, read back by our reader and compared with can-utils' own."""

from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opendiag.cli.raw import RawLines, channel_name
from opendiag.frame import Frame
from opendiag.logs import format_log_line, parse_line

FRAMES = [
    Frame(0x665, bytes.fromhex("4078600000000000")),
    Frame(0x123, b""),
    Frame(0x12345678, b"", extended=True, remote=True, dlc=4),
    Frame(0x123, b"A\xff"),
    Frame(0x123, b"", remote=True),
    Frame(0x4, bytes(8), error=True),
    Frame(0x123, bytes(range(8)), dlc=11),
]


def test_the_plain_line():
    assert RawLines("can0").line(FRAMES[0]) == "  can0  665   [8]  40 78 60 00 00 00 00 00"
    assert RawLines("can0").line(Frame(1, b"", channel="can7")) == "  can7  001   [0]"


def test_standard_identifiers_are_indented_after_an_extended_one():
    lines = RawLines("can0")
    assert [lines.line(frame)[8:16] for frame in (FRAMES[1], FRAMES[2], FRAMES[1])] == [
        "123   [0",
        "12345678",
        "     123",
    ]


@pytest.mark.skipif(shutil.which("log2long") is None, reason="can-utils are not installed here")
def test_the_same_as_can_utils_prints():
    log = "".join(f"{format_log_line(frame, 6)}\n" for frame in FRAMES)
    theirs = subprocess.run(["log2long"], input=log, capture_output=True, text=True, check=True).stdout.splitlines()
    lines = RawLines("can0", time="a", ascii=True)
    lines.line(FRAMES[2])  # log2long always indents
    ours = [lines.line(frame) for frame in FRAMES]
    assert [line[1:] for line in ours] == [line.rstrip() for line in theirs]


@pytest.mark.parametrize(
    ("letter", "stamps"),
    [
        ("a", ["(1436509052.249713)", "(1436509052.250713)", "(1436509053.249713)"]),
        ("z", ["(000.000000)", "(000.001000)", "(001.000000)"]),
        ("d", ["(000.000000)", "(000.001000)", "(000.999000)"]),
    ],
)
def test_times(letter, stamps):
    lines = RawLines("can0", time=letter)
    moments = [1436509052_249713000, 1436509052_250713000, 1436509053_249713000]
    assert [lines.line(Frame(1, b"", time_ns=ns)).split()[0] for ns in moments] == stamps


def test_a_date():
    line = RawLines("can0", time="A").line(Frame(1, b"", time_ns=1436509052_249713000))
    assert re.fullmatch(r" \(2015-07-1\d \d\d:\d\d:32\.249713\)  can0  001   \[0\]", line)


def test_direction_and_flags():
    lines = RawLines("can0", direction=True)
    assert lines.line(Frame(1, b"", direction="tx")) == "  can0  TX - -  001   [0]"
    assert lines.line(Frame(1, bytes(12), fd=True, brs=True)).startswith("  can0  RX B -  001  [12]  00 00")


def test_raw_dlc():
    assert "  {B}  " in RawLines("can0", raw_dlc=True).line(FRAMES[6])
    assert "  [8]  " in RawLines("can0").line(FRAMES[6])


def test_log_lines():
    lines = RawLines("vcan1", log=True)
    frame = Frame(0x123, b"\1", direction="rx", time_ns=1436509052_249713111)
    assert lines.line(frame) == "(1436509052.249713) vcan1 123#01"
    assert RawLines("vcan1", log=True, direction=True).line(frame).endswith("123#01 R")


def frames():
    standard = st.builds(Frame, st.integers(0, 0x7FF), st.binary(max_size=8))
    extended = st.builds(Frame, st.integers(0, 0x1FFFFFFF), st.binary(max_size=8), st.just(True))
    remote = st.builds(lambda i, n: Frame(i, b"", remote=True, dlc=n), st.integers(0, 0x7FF), st.integers(0, 8))
    fd = st.builds(
        lambda i, d, b, e: Frame(i, d, fd=True, brs=b, esi=e),
        st.integers(0, 0x7FF),
        st.sampled_from([0, 8, 12, 64]).flatmap(lambda n: st.binary(min_size=n, max_size=n)),
        st.booleans(),
        st.booleans(),
    )
    return st.one_of(standard, extended, remote, fd)


@settings(max_examples=100)
@given(st.lists(frames(), min_size=1, max_size=4), st.booleans())
def test_what_is_printed_can_be_read_again(made, log):
    lines = RawLines("can0", direction=not log, log=log)
    for frame in made:
        read = parse_line(lines.line(frame))
        assert (read.id_text, read.data, read.remote, read.fd) == (frame.id_text, frame.data, frame.remote, frame.fd)
        assert (read.dlc, read.brs, read.esi) == (frame.dlc, frame.brs, frame.esi)


@pytest.mark.parametrize(
    ("interface", "name"),
    [
        ("socketcan:can0", "can0"),
        ("slcan:/dev/ttyUSB0@500k", "ttyUSB0"),
        ("cantact:/1-2.3/1@1M", "cantact1"),
        ("usbcan:COM5@500k", "COM5"),
        ("sim", "sim"),
        ("socketcand:127.0.0.1:29536/sim", "sim"),
    ],
)
def test_the_name_of_the_channel_is_one_that_readers_take(interface, name):
    assert channel_name(interface) == name
    line = RawLines(name, time="a").line(Frame(0x123, b"\1", time_ns=10**18))
    assert parse_line(line).channel == name


# --- the command


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("--raw", "--json"), "choose one of"),
        (("-t", "z", "--frames"), "choose one of"),
        (("--raw", "--node", "5"), "raw lines are not decoded"),
        (("--raw", "--changes"), "raw lines are not decoded"),
        (("-t", "q"), "'q'"),
    ],
)
def test_wrong_calls(run, arguments, word):
    outcome = run("watch", "-i", "sim:stepim", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert word in outcome.err


def test_a_raw_watch_of_a_simulated_motor(run):
    outcome = run("watch", "-i", "sim:stepim", "-L", "--count", "1", "--for", "5s")
    assert outcome.code == 0
    assert re.fullmatch(r"\(\d{10}\.\d{6}\) stepim 765#7F\n", outcome.out)
    assert outcome.err == "sim:stepim: 1 frame.\n"
