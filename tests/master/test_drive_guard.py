"""What keeps the promise of `Drive` where Python makes that hard: interrupts at every place, generators, forks, and
calls at moments when nothing may wait.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading

import pytest
from drive_scene import Scene

from opendiag.cia402 import power
from opendiag.cia402.states import PdsState
from opendiag.errors import BlockingCall, BroughtToRest, LimitReached, SdoTimeout
from opendiag.master import pump as pump_module
from opendiag.master.drive_signals import SIGNALS

RPM, REST_S = 600, 0.1


def running(axis, rpm=RPM):
    axis.enable()
    axis.run_at(rpm, "rpm")
    return axis


# --- interrupts -----------------------------------------------------------------------------------------------------


def test_a_signal_right_after_the_pump_has_taken_its_lock_does_not_keep_the_lock():
    """Nobody could read the bus any more, and the drive would run on."""
    with Scene() as scene:
        struck = []

        def profile(frame, event, argument):
            if frame.f_code.co_filename == pump_module.__file__ and not struck:
                taken = event == "c_return" and getattr(argument, "__name__", "") == "acquire"
                if taken and frame.f_code.co_name == "wait" and scene.network.pump._reading.locked():
                    struck.append(scene.clock.now())
                    sys.setprofile(None)
                    SIGNALS._handle(signal.SIGINT, frame)

        with pytest.raises(KeyboardInterrupt), scene.network.drive(101) as axis:
            running(axis)
            sys.setprofile(profile)
            try:
                axis.move_to(1000, "rev", velocity=RPM)
            finally:
                sys.setprofile(None)
        assert struck
        assert not scene.network.pump._reading.locked()
        assert scene.rest_after(struck[0]) <= REST_S


def test_ctrl_c_while_a_closing_network_brings_to_rest_is_not_lost():
    with Scene() as scene:
        running(scene.network.drive(101))
        presses = iter(range(3))

        def press(frame):
            if next(presses, None) is not None:
                signal.raise_signal(signal.SIGINT)

        scene.network.subscribe(press)
        with pytest.raises(KeyboardInterrupt):
            scene.network.close()
        assert not scene.drives[0].energised
        assert SIGNALS._late == {}
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_interrupted_arming_is_made_up_for(monkeypatch):
    """Without that, nobody would bring the drive to rest at the end of the program."""
    with Scene() as scene:
        axis = scene.network.drive(101)
        axis.position  # noqa: B018 - it is known

        def interrupted(keeper):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
            patched.setattr(SIGNALS, "add", interrupted)
            axis.enable()
        running(axis)
        assert signal.getsignal(signal.SIGTERM) == SIGNALS._handle
        began = scene.clock.now()
        SIGNALS._at_exit()
        assert scene.rest_after(began) <= REST_S


# --- where nothing may wait -----------------------------------------------------------------------------------------


@contextlib.contextmanager
def within(seconds):
    """A dead-lock is a failure."""

    def late(number, frame):
        raise AssertionError(f"not over after {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize("end", [lambda scene, axis: axis.close(), lambda scene, axis: scene.network.close()])
def test_closing_where_nothing_may_wait_is_refused_and_stops_the_drive(end):
    """In a function that the bus's own reading calls, as keep_alive, or a generator that is collected there."""
    with within(20), Scene() as scene:
        axis = scene.network.drive(101)
        axis.enable()
        looks, began = iter(range(40)), []

        def keep_alive():
            if next(looks, None) is None and not began:
                began.append(scene.clock.now())
                with pytest.raises(BlockingCall):
                    end(scene, axis)
            return True

        with pytest.raises(Exception) as caught:
            axis.jog(RPM, keep_alive=keep_alive)
        assert not isinstance(caught.value, AssertionError)
        assert scene.rest_after(began[0]) <= REST_S
        axis.close()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


def test_a_generator_that_is_given_up_brings_it_to_rest():
    with Scene() as scene:

        def script():
            with scene.network.drive(101) as axis:
                running(axis)
                yield

        steps = script()
        next(steps)
        began = scene.clock.now()
        del steps
        assert scene.drives[0].pds.state is PdsState.SWITCH_ON_DISABLED
        assert scene.rest_after(began) <= REST_S


# --- copies of the process ------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no copies of a process here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_for_a_copy_of_the_process_is_none_for_us(number):
    """As a pool of processes that is ended sends it."""
    with Scene() as scene, scene.network.drive(101) as axis:
        running(axis)
        ready, tell = os.pipe()
        child = os.fork()
        if not child:
            try:
                os.write(tell, b"x")
                signal.pause()
            finally:
                os._exit(0)
        os.read(ready, 1)
        os.kill(child, number)
        os.waitpid(child, 0)
        os.close(ready)
        os.close(tell)
        threading.Event().wait(0.1)  # the thread that would stop it
        scene.network.sleep(0.3)
        assert axis.link.permitted
        assert abs(scene.motor.velocity) > 5


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there are no copies of a process here")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_copy_of_the_process_lets_go_of_nothing():
    with Scene() as scene, scene.network.drive(101) as axis:
        running(axis)
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            sent = []
            try:
                scene.network.port.send = sent.append
                axis.close()
                os.write(writing, b"%d %d" % (len(sent), axis.guard.armed))
            finally:
                os._exit(0)
        os.waitpid(child, 0)
        assert os.read(reading, 10) == b"0 0"
        os.close(reading)
        os.close(writing)
        assert axis.guard.armed


# --- enabling and the drive's own guard -----------------------------------------------------------------------------


def test_enabling_while_it_is_brought_to_rest_waits_for_that():
    with Scene() as scene, scene.network.drive(101) as axis:
        running(axis)
        axis.guard.begin_rest()  # as a signal does that the script survives
        axis.enable()
        scene.network.sleep(0.5)
        assert axis.status.state is PdsState.OPERATION_ENABLED
        assert axis.move_by(1, velocity=RPM)


def test_a_plan_of_ones_own_that_enables_is_brought_to_rest_too():
    with Scene() as scene:
        axis = scene.network.drive(101)
        axis.run(power.enable(axis.link))
        assert axis.guard in scene.network.keeper.guards
        SIGNALS._at_exit()
        assert not scene.drives[0].energised


def test_a_guard_that_was_set_up_by_half_is_set_up_the_next_time_and_put_back_in_the_end():
    with Scene() as scene, scene.network.drive(101) as axis:
        store = scene.drives[0].store
        keys = [(0x1016, 1), (0x6007, 0), (0x1017, 0)]
        before = [store.values[key] for key in keys]
        write, failures = axis.link.write, iter(range(1))

        def failing(index, *arguments):
            if index == 0x6007 and next(failures, None) is not None:
                raise SdoTimeout(101, 0x6007, 0, "write", 0.5)
            yield from write(index, *arguments)

        axis.link.write = failing
        with pytest.raises(SdoTimeout):
            axis.enable()
        axis.link.write = write
        axis.enable()
        assert axis.own_guard == "quick stop"
        axis.close()
        assert [store.values[key] for key in keys] == before


def test_a_drive_that_has_restarted_has_no_guard_any_more():
    with Scene() as scene, scene.network.drive(101) as axis:
        axis.enable()
        assert axis.own_guard == "quick stop"
        scene.observer[101].nmt.reset(confirm=False)
        scene.network.sleep(2)
        assert axis.own_guard is None
        with pytest.raises(BroughtToRest):
            axis.enable()
        axis.enable()
        assert axis.own_guard == "quick stop"


def test_a_stop_is_sent_whatever_is_still_to_be_told():
    with Scene() as scene, scene.network.drive(101, watchdog_s=0.05) as axis:
        running(axis)
        scene.network.sleep(0.5)
        assert axis.guard.error is not None
        words = []
        scene.network.subscribe(lambda frame: words.append(frame.data))
        axis.quick_stop()
        axis.disable()
        assert any(data[:4] == b"\x2b\x40\x60\x00" for data in words)
        with pytest.raises(BroughtToRest):
            axis.position  # noqa: B018


# --- limits of the script -------------------------------------------------------------------------------------------


def test_a_target_at_the_very_limit_is_no_limit_passed():
    """A shaft overshoots by some counts, and an encoder flickers."""
    with Scene() as scene, scene.network.drive(101, limits={"position": (-1, 2)}) as axis:
        axis.enable()
        axis.move_to(2, velocity=RPM)
        scene.motor.position += 5 / 4096
        scene.network.sleep(0.5)
        assert axis.link.permitted
        scene.motor.position += 0.1
        scene.network.sleep(0.5)
        with pytest.raises(LimitReached, match="position"):
            axis.position  # noqa: B018


def test_a_motion_that_nobody_waited_for_and_that_is_over_does_not_take_too_long():
    with Scene() as scene, scene.network.drive(101, limits={"time_s": 0.6}) as axis:
        axis.enable()
        axis.move_to(1, velocity=RPM, wait=False)
        scene.network.sleep(2)
        assert axis.link.permitted
        assert axis.position == pytest.approx(1, abs=0.05)
        axis.move_to(1000, velocity=RPM, wait=False)
        scene.network.sleep(2)
        with pytest.raises(LimitReached, match="longer"):
            axis.position  # noqa: B018
