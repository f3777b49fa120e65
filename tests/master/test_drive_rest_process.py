"""The same in real time: the script is a program of its own, the test simulates the drive, and a signal, an exit or
kill -9 ends the program while the motor turns.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import textwrap
import threading
import time
from dataclasses import dataclass
from itertools import pairwise

import pytest
from drive_scene import QUICK, STANDING, Recorder

from opendiag.frame import Frame
from opendiag.master.clock import RealClock
from opendiag.master.serve import BusServer
from opendiag.master.served_sim import ServedSim
from opendiag.master.sim_port import SimPort, SimWorld
from opendiag.simulate.bus import SimBus
from opendiag.simulate.stepim import StepIM

fcntl, pty, termios = (pytest.importorskip(name) for name in ("fcntl", "pty", "termios"))
QUICK_STOP = bytes.fromhex("2B40600002000000")
#: Standing after that, where the script can still do something about it: from the end of the block, or the signal, to
#: the quick stop on the bus, and from there to standstill. Times are those of the simulated bus.
REST_S, RAMP_S = 0.1, 0.05
#: With kill -9 and a cut bus the drive's own guard acts: so long after our last heartbeat, and the ramp.
ALLOWED_S = 0.5
GUARD_S = ALLOWED_S + RAMP_S
#: Our heartbeat shows when the program gets no processor: what it comes late is not the script's fault.
BEAT_S = 0.02
PATIENCE_S = 30.0
HEAD = """
import signal, sys, time
import opendiag
from opendiag.master.drive_keeper import GuardSettings
GUARD = GuardSettings(period_s=0.02, allowed_s=0.5)
PATIENT = GuardSettings(period_s=0.02, allowed_s=20, lost_s=20)  # it is the script that stops the drive
def running(axis):
    axis.enable()
    axis.run_at(600, "rpm", acceleration="6000 rpm/s")
    print("turning", flush=True)
    sys.stdin.readline()
net = opendiag.connect(sys.argv[1])
"""
IN_A_BLOCK = """
with net, net.drive(101, guard={guard}) as axis:
    running(axis)
    {end}
"""


@dataclass(frozen=True)
class Seen:
    """What happened on the bus since the test did something, in seconds: the quick stop of the program, its last frame,
    and standstill. ``starved_s`` is how late its heartbeats were until the quick stop, or its last frame, at most."""

    quick_stop_s: float | None
    last_s: float
    rest_s: float
    starved_s: float
    code: int
    said: str

    def script_stopped_it(self, allowed_s: float = REST_S) -> Seen:
        """The script has stopped the drive in time, and not its guard."""
        assert self.quick_stop_s is not None, self
        assert self.quick_stop_s - self.starved_s <= allowed_s - RAMP_S, self
        assert 0 <= self.rest_s - self.quick_stop_s <= RAMP_S, self
        return self

    def guard_stopped_it(self) -> Seen:
        """The drive has stopped by itself, in time, and not the script."""
        assert self.quick_stop_s is None or self.quick_stop_s >= self.rest_s, self
        assert ALLOWED_S - RAMP_S <= self.rest_s - self.last_s <= GUARD_S, self
        return self


def at(frame: Frame) -> float:
    """Seconds on the bus."""
    return frame.time_ns / 1e9


class Lab:
    """A StepIM on a bus that other programs can connect to."""

    def __init__(self) -> None:
        self.drive = StepIM()
        self.bus = SimBus(start=0.0)
        self.world = SimWorld(self.bus, RealClock(0.0))
        self.recorder = Recorder(self.drive)
        self.bus.attach(self.drive, "node 101")
        self.bus.attach(self.recorder, "eyes", listen_only=True)
        self.drive.store.set(0x6085, 0, QUICK)
        self.server = BusServer(lambda name: ServedSim(self.world, name), port=0)
        self.port = SimPort(self.world, "witness")
        self.frames: list[Frame] = []
        self.cut_at: float | None = None
        self._ended = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        host, number = self.server.address
        self.interface = f"socketcand:{host}:{number}/sim"

    def _run(self) -> None:
        """The bus goes on when no program is connected."""
        while not self._ended:
            self.frames += self.port.receive(self.world.clock.now() + 0.01)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *exception: object) -> None:
        self._ended = True
        self._thread.join()
        self.server.close()
        self.port.close()

    def run(self, script: str, cut: bool = False, kill: int | None = None, then_kill: bool = False) -> Seen:
        """Run a script until its motor turns, let it go on (or kill it, or cut its bus), and look."""
        program = subprocess.Popen(
            [sys.executable, "-c", HEAD + textwrap.dedent(script), self.interface],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert program.stdout is not None
            assert program.stdin is not None
            if program.stdout.readline() != "turning\n":
                raise AssertionError(program.communicate(timeout=PATIENCE_S)[1])
            assert abs(self.drive.motor.velocity) > 5
            began = self.world.clock.now()
            if cut:
                self._cut()
            if kill is not None:
                program.send_signal(kill)
            if kill is None or kill != signal.SIGKILL:
                program.stdin.write("\n")
                program.stdin.flush()
            self._await_rest()
            if then_kill:
                program.kill()
            _, said = program.communicate(timeout=PATIENCE_S)
        finally:
            program.kill()
            program.wait()
        time.sleep(0.1)  # and it stays at rest
        with self.world.lock:
            self.world.advance()
            assert abs(self.drive.motor.velocity) < STANDING
            assert not self.drive.energised
            return self._seen(began, program.returncode, said)

    def _seen(self, began: float, code: int, said: str) -> Seen:
        rest = self.recorder.stands_since()
        stops = [frame for frame in self.frames if frame.can_id == 0x665 and frame.data == QUICK_STOP]
        stopped = next((at(frame) for frame in stops if at(frame) >= began), None)
        end = rest if stopped is None else stopped
        beats = [at(frame) for frame in self.frames if frame.can_id == 0x77F and at(frame) <= end]
        gaps = [later - earlier for earlier, later in pairwise(beats) if later >= began]
        if stopped is not None and beats:
            gaps.append(stopped - beats[-1])
        starved = sum(max(gap - 2 * BEAT_S, 0.0) for gap in gaps)
        last = max((each for each in beats if self.cut_at is None or each <= self.cut_at), default=began)
        since = None if stopped is None else stopped - began
        return Seen(since, last - began, rest - began, starved, code, said)

    def _await_rest(self) -> None:
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and (self.drive.energised or abs(self.drive.motor.velocity) > STANDING):
            time.sleep(0.01)

    def _cut(self) -> None:
        with self.world.lock:
            self.cut_at = self.world.clock.now()
            for station in list(self.bus.stations):
                if station.name.startswith("127.0.0.1"):
                    self.bus.detach(station)


def seen(script: str, **how: object) -> Seen:
    with Lab() as lab:
        return lab.run(script, **how)  # type: ignore[arg-type]


def in_a_block(end: str, guard: str = "PATIENT") -> str:
    return IN_A_BLOCK.format(end=end, guard=guard)


@pytest.mark.parametrize(
    ("end", "code", "said"),
    [
        ("pass", 0, ""),
        ("1 / 0", 1, "ZeroDivisionError"),
        ("sys.exit(7)", 7, ""),
    ],
    ids=["end", "exception", "sys.exit"],
)
def test_a_script_that_ends(end, code, said):
    found = seen(in_a_block(end)).script_stopped_it()
    assert found.code == code
    assert said in found.said


SLEEP, MOTION, USER = "time.sleep(60)", "axis.move_to(10**5, 'rev', velocity=600)", "while True: pass"


@pytest.mark.parametrize(
    ("number", "end"),
    [
        pytest.param(signal.SIGINT, SLEEP, id="SIGINT in sleep"),
        pytest.param(signal.SIGINT, MOTION, id="SIGINT in a motion"),
        pytest.param(signal.SIGINT, USER, id="SIGINT in user code"),
        pytest.param(signal.SIGTERM, MOTION, id="SIGTERM in a motion"),
        pytest.param(signal.SIGTERM, USER, id="SIGTERM in user code"),
        pytest.param(signal.SIGHUP, SLEEP, id="SIGHUP in sleep"),
    ],
)
def test_a_signal(number, end):
    found = seen(in_a_block(end), kill=number).script_stopped_it()
    assert found.code == (-signal.SIGINT if number == signal.SIGINT else 128 + number)


def test_a_signal_while_a_library_computes():
    """Python runs no handler before it is done, and the drive does not wait for that."""
    end = "import hashlib; hashlib.pbkdf2_hmac('sha256', b'x', b'y', 10**9)"
    seen(in_a_block(end), kill=signal.SIGTERM, then_kill=True).script_stopped_it()


def test_an_interpreter_that_is_stuck_leaves_it_to_the_drive():
    """No thread of ours runs any more: our heartbeat stays out."""
    seen(in_a_block("sum(range(10**12))", "GUARD"), then_kill=True).guard_stopped_it()


def test_no_block_at_all():
    assert seen("axis = net.drive(101, guard=PATIENT)\nrunning(axis)\n").script_stopped_it().code == 0


def test_the_network_closed_first():
    script = "axis = net.drive(101, guard=PATIENT)\nrunning(axis)\nnet.close()\ntime.sleep(0.5)"
    assert seen(script).script_stopped_it().code == 0


def test_a_script_that_hangs():
    script = """
    with net, net.drive(101, watchdog_s=0.05, guard=PATIENT) as axis:
        running(axis)
        time.sleep(1)
        axis.position
    """
    found = seen(script).script_stopped_it(REST_S + 0.05)
    assert found.code == 1
    assert "did not call for 0.05 s" in found.said


def test_kill_9_leaves_it_to_the_drive():
    found = seen(in_a_block("time.sleep(60)", "GUARD"), kill=signal.SIGKILL).guard_stopped_it()
    assert found.code == -signal.SIGKILL


def test_a_cut_bus_leaves_it_to_the_drive():
    found = seen(in_a_block("sys.exit(0)", "GUARD"), cut=True).guard_stopped_it()
    assert "IT COULD NOT BE MADE SURE" in found.said
    assert found.code == 0


def test_ctrl_c_on_a_terminal_at_any_moment():
    """From before the drive is enabled to after it was let go."""
    for delay_s in (0.0, 0.03, 0.2):
        with Lab() as lab:
            code, said = press_ctrl_c(lab.interface, delay_s)
            lab._await_rest()
            assert not lab.drive.energised, said
            assert abs(lab.drive.motor.velocity) < STANDING
        assert code in (0, -signal.SIGINT, 128 + signal.SIGINT), said
        assert "KeyboardInterrupt" in said or code == 0


def press_ctrl_c(interface: str, delay_s: float) -> tuple[int, str]:
    """Exit code and what is on the terminal."""
    script = HEAD + textwrap.dedent("""
    with net, net.drive(101, guard=PATIENT) as axis:
        print("ready", flush=True)
        axis.enable()
        axis.run_at(600, "rpm", acceleration="6000 rpm/s")
        axis.move_to(10**5, "rev", velocity=600)
    """)
    ours, theirs = pty.openpty()
    program = subprocess.Popen(
        [sys.executable, "-c", script, interface],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(theirs)
    said = b""
    try:
        while b"ready" not in said:
            said += os.read(ours, 1000)
        time.sleep(delay_s)
        os.write(ours, b"\x03")
        with contextlib.suppress(OSError):  # it is closed at the other end
            while more := os.read(ours, 1000):
                said += more
        return program.wait(PATIENCE_S), said.decode(errors="replace")
    finally:
        program.kill()
        program.wait()
        os.close(ours)
