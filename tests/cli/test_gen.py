"""`opendiag gen`: what it makes, how fast, and what it does when frames cannot be sent."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from itertools import islice
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cli.gen_frames import Recipe, generate
from opendiag.errors import SendFailed
from opendiag.frame import FD_LENGTHS
from opendiag.master.network import Network

SIM = ("-i", "sim:stepim", "-q")


@pytest.fixture(autouse=True)
def _no_interface(monkeypatch):
    monkeypatch.delenv("OPENDIAG_INTERFACE", raising=False)


def some(count=300, **recipe):
    return list(islice(generate(Recipe(**recipe), Random(5)), count))


# --- frames


def test_random_frames_have_all_lengths_and_all_kinds_of_identifiers():
    made = some(1000)
    assert {len(frame.data) for frame in made} == set(range(9))
    assert not any(frame.extended or frame.remote or frame.fd for frame in made)
    assert max(frame.can_id for frame in made) > 0x700


def test_identifiers():
    assert {frame.can_id % 2 for frame in some(ids="e")} == {0}
    assert {frame.can_id % 2 for frame in some(ids="o")} == {1}
    assert [frame.can_id for frame in some(3, ids="i")] == [0, 1, 2]
    assert {frame.can_id for frame in some(ids="42A")} == {0x42A}
    wild = {frame.can_id for frame in some(ids="1x2")}
    assert wild == {0x102 + 16 * digit for digit in range(16)}
    assert all(frame.can_id > 0x7FF for frame in some(5, ids="1234567x", extended=True))
    assert {frame.can_id >> 4 for frame in some(ids="i", extended=False)} <= set(range(0x80))


def test_identifiers_that_count_begin_again_at_their_limit():
    assert [frame.can_id for frame in some(0x802, ids="i")][-2:] == [0, 1]


def test_lengths_and_data():
    assert {len(frame.data) for frame in some(length="4")} == {4}
    assert [len(frame.data) for frame in some(10, length="i")] == [0, 1, 2, 3, 4, 5, 6, 7, 8, 0]
    assert {frame.data for frame in some(data="1122DEAD")} == {bytes.fromhex("1122DEAD")}
    assert {frame.data for frame in some(data="1122", length="4")} == {bytes.fromhex("11220000")}
    assert len({frame.data[1] for frame in some(data="11xx", length="2")}) > 100
    assert [frame.data for frame in some(3, data="i", length="2")] == [b"\0\0", b"\1\0", b"\2\0"]
    assert min(len(frame.data) for frame in some(data="i")) == 1


def test_can_fd():
    made = some(fd=True, brs=True, esi=True)
    assert {len(frame.data) for frame in made} == set(FD_LENGTHS)
    assert all(frame.fd and frame.brs and frame.esi for frame in made)
    assert {len(frame.data) for frame in some(fd=True, length="13")} == {16}


def test_remote_frames_and_raw_length_codes():
    assert all(frame.remote and not frame.data for frame in some(remote=True))
    assert {frame.dlc for frame in some(raw_dlc=True)} == set(range(16))
    assert {(frame.dlc, len(frame.data)) for frame in some(raw_dlc=True, length="12")} == {(12, 8)}


def test_a_mix_has_everything_and_can_fd_only_when_asked_for():
    made = some(mix=True)
    assert {frame.extended for frame in made} == {frame.remote for frame in made} == {True, False}
    assert not any(frame.fd for frame in made)
    assert {frame.fd for frame in some(mix=True, fd=True)} == {True, False}


@given(
    st.builds(
        Recipe,
        st.sampled_from(["r", "e", "o", "i", "7x"]),
        st.sampled_from([None, "r", "i", "3", "8"]),
        st.sampled_from(["r", "i", "11", "xx.xx"]),
        *[st.booleans()] * 7,
    ),
    st.integers(),
)
def test_every_recipe_makes_frames_or_says_why_not(recipe, seed):
    try:
        frames = generate(recipe, Random(seed))
    except ValueError as error:
        assert str(error)
        return
    again = generate(recipe, Random(seed))
    assert list(islice(frames, 20)) == list(islice(again, 20)), "the same seed, the same frames"


@pytest.mark.parametrize(
    ("arguments", "word"),
    [
        (("-I", "800"), "above 7FF; extended identifiers need -e"),
        (("-I", "zz"), "identifier 'zz'"),
        (("-L", "9"), "at most"),
        (("-L", "65", "-f"), "64 bytes at most"),
        (("-L", "x"), "length 'x'"),
        (("-D", "123"), "half a byte"),
        (("-D", "00" * 9), "data of 9 bytes"),
        (("-R", "-f"), "no remote frames"),
        (("-g", "soon"), "is no time"),
        (("-n", "0"), "-n"),
        (("-m", "-e", "-I", "12345678"), "a mix"),
    ],
)
def test_wrong_calls(run, arguments, word):
    outcome = run("gen", *arguments, *SIM)
    assert (outcome.code, outcome.out) == (2, "")
    assert word in outcome.err


# --- sending


def test_what_is_printed_is_what_is_sent(run):
    outcome = run("gen", "-n", "3", "-g", "0", "-I", "123", "-D", "i", "-L", "2", "-v", *SIM)
    assert (outcome.code, outcome.err) == (0, "")
    assert outcome.out.splitlines() == [f"  stepim  123   [2]  0{number} 00" for number in range(3)]


def test_the_same_seed_sends_the_same(run):
    first, second = (run("gen", "-n", "20", "-g", "0", "-v", "--seed", "7", *SIM).out for _ in range(2))
    assert first == second
    assert len(first.splitlines()) == 20


def test_a_summary(run):
    outcome = run("gen", "-n", "12", "-g", "1", "-i", "sim:stepim")
    assert outcome.code == 0
    assert re.fullmatch(r"sim:stepim: 12 frames sent in 0\.\d\d s, \d+/s\.\n", outcome.err)


def test_gaps_are_kept_on_the_long_run(run):
    """Each is sent when it is due, so that the time each takes does not add up."""
    began = time.monotonic()
    assert run("gen", "-n", "200", "-g", "2", *SIM).code == 0
    assert 0.39 <= time.monotonic() - began < 0.9


def test_bursts_and_a_time_to_end(run):
    outcome = run("gen", "-c", "4", "-g", "50", "--for", "75ms", "-v", "-L", "0", *SIM)
    assert len(outcome.out.splitlines()) == 8


def test_frames_that_the_bus_cannot_carry_are_counted(run):
    outcome = run("gen", "-n", "3", "-g", "0", "-f", *SIM)
    assert outcome.code == 3
    assert outcome.err == "3 frames not sent: the simulated bus has no CAN FD\n"


@pytest.fixture
def full(monkeypatch):
    """The transmit queue is full for the frames that are named here, so many times."""
    refusals: dict[int, int] = {}
    calls = {"sent": 0}
    send = Network.send

    def refuse(self, frame):
        left = refusals.get(calls["sent"], 0)
        if left:
            refusals[calls["sent"]] = left - 1
            raise SendFailed(self.name, "transmit queue full") from OSError(105, "No buffer space available")
        calls["sent"] += 1
        send(self, frame)

    monkeypatch.setattr(Network, "send", refuse)
    return refusals


def test_a_full_queue_is_the_end_as_with_cangen(run, full):
    full[2] = 10**9
    outcome = run("gen", "-n", "5", "-g", "0", "-v", *SIM)
    assert outcome.code == 3
    assert len(outcome.out.splitlines()) == 2
    assert "Ended because the transmit queue was full" in outcome.err


def test_a_full_queue_is_waited_for(run, full):
    full[2] = 5
    outcome = run("gen", "-n", "5", "-g", "0", "-p", "2000", "-v", *SIM)
    assert (outcome.code, len(outcome.out.splitlines())) == (0, 5)


def test_a_full_queue_is_not_waited_for_for_ever(run, full):
    full[2] = 10**9
    began = time.monotonic()
    assert run("gen", "-n", "5", "-g", "0", "-p", "60", *SIM).code == 3
    assert 0.06 <= time.monotonic() - began < 3


def test_frames_are_left_out_while_the_queue_is_full(run, full):
    full[2] = 2
    outcome = run("gen", "-n", "5", "-g", "0", "--ignore-full", "-v", *SIM)
    assert (outcome.code, len(outcome.out.splitlines())) == (3, 3)
    assert "2 frames not sent: transmit queue full" in outcome.err


def test_a_full_load_leaves_completely(run):
    """The simulated controller's queue is no place for frames to be forgotten in."""
    outcome = run("gen", "-n", "1000", "-g", "0", "-p", "1000", "-L", "8", "-i", "sim:stepim")
    assert outcome.code == 0
    assert "1000 frames sent" in outcome.err


@pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")
def test_ctrl_c_ends_it_with_its_summary():
    with subprocess.Popen(
        [sys.executable, "-m", "opendiag", "gen", "-i", "sim:stepim", "-g", "20", "-v"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            process.stdout.readline()
            process.send_signal(signal.SIGINT)
            _, notes = process.communicate(timeout=8)
        finally:
            process.kill()
    assert process.returncode == 0
    assert re.match(r"sim:stepim: \d+ frames? sent", notes)
    assert "Traceback" not in notes


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("socketcan:can0", "socketcan:can0?local_loopback=no"),
        ("socketcan:can0?fd=yes", "socketcan:can0?fd=yes&local_loopback=no"),
        ("slcan:/dev/ttyACM0@500k", "slcan:/dev/ttyACM0@500k"),
    ],
)
def test_without_loopback_only_where_there_is_one(before, after):
    from opendiag.cli.gen_command import _without_loopback

    assert _without_loopback(before) == after


@pytest.mark.parametrize(("count", "has_rate"), [("3", False), ("10", True)])
def test_few_frames_have_no_rate(run, count, has_rate):
    outcome = run("gen", "-i", "sim:stepim", "-n", count, "-g", "1", "-y")
    assert re.search(r" sent in \d+\.\d\d s", outcome.err)
    assert ("/s" in outcome.err) is has_rate
