"""`opendiag send` to a simulated motor."""

from __future__ import annotations

import time

import pytest

SIM = ("-i", "sim:stepim")


@pytest.fixture(autouse=True)
def _no_interface(monkeypatch):
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)


@pytest.mark.parametrize("frame", ["665#4041600000000000", "665 [8] 40 41 60 00 00 00 00 00"])
def test_a_frame_and_its_answer(run, frame):
    outcome = run("send", frame, "--wait", "100ms", *SIM)
    assert (outcome.code, outcome.err) == (0, "")
    lines = outcome.out.splitlines()
    assert lines[0] == "tx  665   [8]  40 41 60 00 00 00 00 00"
    assert "rx  5E5   [8]  4B 41 60 00 40 02 00 00" in lines[1:]


def test_without_wait_only_what_was_sent(run):
    outcome = run("send", "000#0165", "12345678#0102", "080#R", *SIM)
    assert outcome.code == 0
    assert [line for line in outcome.out.splitlines() if line.startswith("tx")] == [
        "tx  000   [2]  01 65",
        "tx  12345678   [2]  01 02",
        "tx  080   [0]  remote request",
    ]


def test_a_gap_between_frames(run):
    began = time.monotonic()
    assert run("send", "080#", "080#", "080#", "--gap", "60ms", *SIM).out.count("tx  080") == 3
    assert time.monotonic() - began >= 0.12


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("hello",), "'hello' is no frame"),
        (("900#00",), "above 7FF"),
        (("080#", "665#4"), "'665#4' is no frame"),
        (("080#", "--wait", "-1"), "'-1' is no time"),
        (("080#", "--gap", "x"), "'x' is no time"),
        ((), "FRAME"),
    ],
)
def test_nothing_is_sent_by_a_wrong_call(run, arguments, word):
    outcome = run("send", *arguments, *SIM)
    assert (outcome.code, outcome.out) == (2, "")
    assert word in outcome.err
    assert "Traceback" not in outcome.err


def test_what_the_bus_cannot_carry_is_exit_code_3(run):
    outcome = run("send", "123##1112233", *SIM)
    assert (outcome.code, outcome.out) == (3, "")
    assert "no CAN FD" in outcome.err


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("123#R4", "123   [4]  remote request"),
        ("123#R", "123   [0]  remote request"),
        ("123##1AABB", "123   [02]  AA BB"),
        ("123##0", "123   [00]"),
        ("123#11.22.33", "123   [3]  11 22 33"),
        ("12345678#", "12345678   [0]"),
    ],
)
def test_all_of_cansends_notation(run, text, shown):
    """On python-can's virtual bus, which carries CAN FD."""
    outcome = run("send", text, "-i", "virtual:send")
    assert (outcome.code, outcome.out) == (0, f"tx  {shown}\n")


def test_a_length_code_above_8(run):
    outcome = run("send", "123#1122334455667788_B", *SIM)
    assert (outcome.code, outcome.out.splitlines()[0]) == (0, "tx  123   {B}  11 22 33 44 55 66 77 88")


def test_an_error_frame_is_the_controllers_own(run):
    outcome = run("send", "20000004#0000000000000000", *SIM)
    assert (outcome.code, outcome.out) == (3, "")
    assert "an error frame is the controller's own" in outcome.err
