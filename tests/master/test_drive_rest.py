"""A drive that a script has enabled comes to rest, whatever ends the script: exact times, on the bit-time-true bus."""

from __future__ import annotations

import signal
import sys
import threading

import pytest
from drive_scene import Scene

from opendiag.cia402.states import PdsState
from opendiag.errors import (
    AdapterClosed,
    AdapterError,
    BroughtToRest,
    LimitReached,
    NotAtRest,
    NotEnabled,
    OutsideLimits,
    SdoTimeout,
)
from opendiag.master.drive_keeper import GuardSettings
from opendiag.simulate.faults import Fault

#: The property: standing this long after what happened, where we can still do something about it.
REST_S = 0.1
RPM = 600
GUARD = GuardSettings(period_s=0.02, allowed_s=0.06)


class Oops(Exception):
    pass


def running(axis, rpm=RPM, **options):
    """Enabled, and turning at ten turns a second."""
    axis.enable()
    axis.run_at(rpm, "rpm", **options)
    return axis


def raise_oops():
    raise Oops


def raise_interrupt():
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("end", "error"),
    [
        (lambda: None, None),
        (raise_oops, Oops),
        (lambda: sys.exit(3), SystemExit),
        (raise_interrupt, KeyboardInterrupt),
        (lambda: signal.raise_signal(signal.SIGINT), KeyboardInterrupt),
        (lambda: signal.raise_signal(signal.SIGTERM), SystemExit),
        (lambda: signal.raise_signal(signal.SIGHUP), SystemExit),
    ],
    ids=["end of block", "exception", "sys.exit", "Ctrl-C", "SIGINT", "SIGTERM", "SIGHUP"],
)
def test_whatever_ends_the_block_brings_it_to_rest(end, error):
    with Scene() as scene:

        def script():
            with scene.network.drive(101) as axis:
                running(axis)
                scene.began = scene.clock.now()
                end()

        if error is None:
            script()
        else:
            with pytest.raises(error):
                script()
        assert scene.drives[0].pds.state is PdsState.SWITCH_ON_DISABLED
        assert scene.rest_after(scene.began) <= REST_S


def test_signal_handlers_are_as_before_afterwards():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)]
    with Scene() as scene, scene.network.drive(101) as axis:
        axis.position  # noqa: B018 - looking installs nothing
        assert signal.getsignal(signal.SIGTERM) is before[1]
        axis.enable()
        assert signal.getsignal(signal.SIGTERM) is not before[1]
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)] == before
    assert signal.set_wakeup_fd(-1) == -1


def test_a_handler_of_the_script_is_called_and_the_drive_stops_all_the_same():
    called = []
    before = signal.signal(signal.SIGTERM, lambda number, frame: called.append(number))
    try:
        with Scene() as scene, scene.network.drive(101) as axis:
            running(axis)
            began = scene.clock.now()
            signal.raise_signal(signal.SIGTERM)
            for _ in range(200):  # a thread of its own begins, without the script's doing
                if not axis.link.permitted:
                    break
                threading.Event().wait(0.01)
            scene.network.sleep(0.2)
            assert called == [signal.SIGTERM]
            assert scene.rest_after(began) <= REST_S
            with pytest.raises(NotEnabled):
                axis.move_to(0)
    finally:
        signal.signal(signal.SIGTERM, before)


def test_ctrl_c_in_a_motion_brings_it_to_rest_and_is_raised():
    with Scene() as scene:
        clock = scene.clock

        def press(now):
            if now >= scene.began + 0.3 and not scene.pressed:
                scene.pressed = True
                scene.pressed_at = now
                threading.Thread(target=signal.raise_signal, args=(signal.SIGINT,)).run()

        scene.pressed = False
        with pytest.raises(KeyboardInterrupt), scene.network.drive(101) as axis:
            axis.enable()
            scene.began = clock.now()
            scene.network.subscribe(lambda frame: press(clock.now()))
            axis.move_to(1000, "rev", velocity=RPM)
        assert scene.pressed
        assert scene.rest_after(scene.pressed_at) <= REST_S


def test_ctrl_c_again_while_it_is_brought_to_rest_waits_for_that():
    with Scene() as scene:
        with pytest.raises(KeyboardInterrupt), scene.network.drive(101) as axis:
            running(axis)
            scene.began = scene.clock.now()
            presses = iter(range(40))

            def press(frame):
                if next(presses, None) is not None:
                    signal.raise_signal(signal.SIGINT)

            scene.network.subscribe(press)
            signal.raise_signal(signal.SIGINT)
        assert scene.drives[0].pds.state is PdsState.SWITCH_ON_DISABLED
        assert scene.rest_after(scene.began) <= REST_S


def test_closing_the_network_first_brings_it_to_rest():
    with Scene() as scene:
        axis = running(scene.network.drive(101))
        began = scene.clock.now()
        scene.network.close()
        assert scene.rest_after(began) <= REST_S
        with pytest.raises(AdapterClosed):
            axis.move_to(1)


def test_the_end_of_the_program_brings_to_rest_what_no_block_does():
    from opendiag.master.drive_signals import SIGNALS

    with Scene() as scene:
        running(scene.network.drive(101))
        began = scene.clock.now()
        SIGNALS._at_exit()  # what atexit calls
        assert scene.rest_after(began) <= REST_S


def test_a_lost_adapter_leaves_it_to_the_drives_own_guard():
    with Scene() as scene:
        axis = running(scene.network.drive(101, guard=GUARD))
        assert axis.own_guard == "quick stop"
        began = scene.clock.now()
        scene.network.port.close()
        with pytest.raises(AdapterError):
            axis.position  # noqa: B018
        assert scene.rest_after(began) <= REST_S
        axis.close(Oops())  # nothing can be sent: it is logged, and what is under way goes on
        assert scene.drives[0].energised is False


def test_a_lost_adapter_is_told_when_nothing_else_is_under_way():
    with Scene() as scene:
        axis = running(scene.network.drive(101, guard=GUARD))
        scene.network.port.close()
        with pytest.raises(AdapterError):
            axis.position  # noqa: B018
        with pytest.raises(NotAtRest, match="nothing can be sent any more; quick stop by its own guard"):
            axis.close()


def test_a_cut_bus_leaves_it_to_the_drives_own_guard():
    with Scene() as scene:
        axis = running(scene.network.drive(101, guard=GUARD))
        began = scene.clock.now()
        scene.bus.detach(scene.network.port.station)
        assert scene.rest_after(began) <= REST_S
        with pytest.raises(Exception):  # noqa: B017 - whatever the adapter says of it
            axis.position  # noqa: B018


def test_without_a_guard_a_cut_bus_leaves_it_running():
    """What the tests of the guard would not see if the drive stopped for another reason."""
    with Scene() as scene:
        axis = running(scene.network.drive(101, guard=False))
        assert axis.own_guard is None
        scene.bus.detach(scene.network.port.station)
        scene.later()
        assert abs(scene.motor.velocity) > 5


def test_a_reset_of_the_node_is_told():
    with Scene() as scene, pytest.raises(BroughtToRest, match="it has restarted"), scene.network.drive(101) as axis:
        running(axis, rpm=120)  # a drive that is reset lets its motor run out
        began = scene.clock.now()
        scene.observer[101].nmt.reset(confirm=False)
        scene.network.sleep(0.3)
        assert scene.rest_after(began) <= REST_S
        axis.position  # noqa: B018


def test_a_script_that_does_not_call_is_stopped_and_told():
    with Scene() as scene, scene.network.drive(101, watchdog_s=0.05) as axis:
        running(axis)
        for _ in range(10):
            scene.network.sleep(0.04)
            axis.alive()
        assert abs(scene.motor.velocity) > 5
        began = scene.clock.now()
        scene.network.sleep(1)
        assert scene.rest_after(began + 0.05) <= REST_S
        with pytest.raises(BroughtToRest, match=r"did not call for 0\.05 s") as caught:
            axis.move_to(0)
        assert caught.value.at_rest is True
        assert axis.status.state is PdsState.SWITCH_ON_DISABLED
        axis.enable()  # it was told: it may go on
        assert axis.move_to(1, "rev", velocity=RPM) == pytest.approx(1, abs=0.05)


def test_the_watchdog_waits_while_the_script_is_in_a_call():
    with Scene() as scene, scene.network.drive(101, watchdog_s=0.05) as axis:
        axis.enable()
        assert axis.move_to(3, "rev", velocity=60) == pytest.approx(3, abs=0.05)


def test_a_thread_that_only_looks_does_not_feed_the_watchdog():
    with Scene() as scene, scene.network.drive(101, watchdog_s=0.05) as axis:
        running(axis)
        began = scene.clock.now()
        for _ in range(20):
            looking = threading.Thread(target=lambda: axis.status)
            looking.start()
            looking.join()
            scene.network.sleep(0.02)
        assert scene.rest_after(began + 0.05) <= REST_S
        with pytest.raises(BroughtToRest, match="did not call"):
            axis.alive()


def test_a_lost_heartbeat_of_the_drive_stops_it_and_is_told():
    with Scene(2) as scene, scene.network.drives(101, 102, guard=GuardSettings(beat_s=0.05, lost_s=0.2)) as (x, y):
        x.enable()
        y.enable()
        y.run_at(RPM)
        began = scene.clock.now()
        scene.bus.detach(next(station for station in scene.bus.stations if station.name == "node 101"))
        scene.network.sleep(1)
        assert scene.rest_after(began + 0.2, 1) <= REST_S
        with pytest.raises(BroughtToRest, match=r"heartbeat stays out .*\(drive 101\)"):
            y.position  # noqa: B018
        with pytest.raises(BroughtToRest, match="its heartbeat stays out"):
            x.position  # noqa: B018
        scene.lost = x
        with pytest.raises(NotAtRest):
            x.close()


def test_a_motion_that_fails_stops_the_other_axes():
    with Scene(2) as scene, scene.network.drives(101, 102) as (x, y):
        x.enable()
        y.enable()
        y.run_at(RPM)
        scene.drives[0].hold_shaft()
        began = scene.clock.now()
        with pytest.raises(Exception) as caught:
            x.move_to(2, "rev", velocity=60, timeout_s=0.5)
        assert caught.value.at_rest is True
        assert scene.rest_after(began, 1) < 1.0
        with pytest.raises(BroughtToRest, match=r"\(drive 101\)"):
            y.move_to(0)


@pytest.mark.parametrize(("lost", "allowed_s"), [(0.02, 0.5), (0.1, 1.0)])
def test_frames_that_are_lost_delay_the_rest_and_do_not_prevent_it(lost, allowed_s):
    faults = tuple(Fault("drop", service=f"sdo {way}", probability=lost, from_s=3.5) for way in ("request", "response"))
    with Scene(faults=faults) as scene:
        axis = running(scene.network.drive(101, guard=False))
        scene.network.sleep(4.0 - scene.clock.now())
        began = scene.clock.now()
        axis.close()
        assert scene.rest_after(began) <= allowed_s


# --- the drive's own guard ------------------------------------------------------------------------------------------


def test_what_the_guard_changes_is_put_back():
    with Scene() as scene:
        store = scene.drives[0].store
        keys = [(0x1016, 1), (0x1016, 2), (0x6007, 0), (0x1017, 0)]
        before = [store.values[key] for key in keys]
        with scene.network.drive(101, guard=GUARD) as axis:
            axis.enable()
            inside = [store.values[key] for key in keys]
            assert int.from_bytes(inside[0], "little") == 127 << 16 | 60
            assert int.from_bytes(inside[2], "little") == 3
            assert int.from_bytes(inside[3], "little") == 100
        assert [store.values[key] for key in keys] == before
        scene.later()
        assert scene.drives[0].pds.state is PdsState.SWITCH_ON_DISABLED


def test_looking_changes_nothing_and_stops_nothing():
    with Scene() as scene:
        axis = running(scene.network.drive(101, guard=False))
        frames = []
        scene.observer.subscribe(frames.append)
        other = scene.observer.drive(101)
        with other:
            assert other.status.state is PdsState.OPERATION_ENABLED
            assert other.velocity == pytest.approx(RPM, rel=0.05)
        sent = [frame for frame in frames if frame.direction == "tx"]
        assert sent
        assert all(frame.can_id == 0x665 and frame.data[0] >> 5 == 2 for frame in sent)  # uploads only
        scene.later(0.5)
        assert abs(scene.motor.velocity) > 5
        axis.close()


# --- limits of the script -------------------------------------------------------------------------------------------


def test_limits_are_checked_before_anything_is_sent():
    with Scene() as scene, scene.network.drive(101, limits={"position": (-1, 5), "velocity": "300 rpm"}) as axis:
        axis.enable()
        word = scene.drives[0].axis.controlword
        for call in (
            lambda: axis.move_to(5.1),
            lambda: axis.move_by("-400 deg"),
            lambda: axis.run_at("301 rpm"),
            lambda: axis.move_to(2, velocity=400),
            lambda: axis.move_through([1, 2, 9]),
        ):
            with pytest.raises(OutsideLimits, match="which this script set"):
                call()
        assert scene.drives[0].axis.controlword == word
        assert axis.move_to(2, velocity=300) == pytest.approx(2, abs=0.05)


def test_a_limit_that_is_passed_in_motion_stops_it():
    with Scene() as scene, scene.network.drive(101, limits={"position": (-1, 5)}) as axis:
        running(axis, acceleration="6000 rpm/s")
        began = scene.clock.now()
        scene.network.sleep(2)
        assert scene.rest_after(began + 0.5) <= REST_S
        assert scene.motor.position < 6
        with pytest.raises(LimitReached, match="position") as caught:
            axis.run_at(10)
        assert caught.value.at_rest is True


def test_a_limit_in_time_ends_a_motion():
    with Scene() as scene, scene.network.drive(101, limits={"time_s": 0.5}) as axis:
        axis.enable()
        began = scene.clock.now()
        with pytest.raises(LimitReached, match=r"longer than 0\.5 s"):
            axis.move_to(1000, "rev", velocity=RPM)
        assert scene.rest_after(began + 0.5) <= REST_S


# --- threads --------------------------------------------------------------------------------------------------------


def test_a_drive_that_does_not_answer_is_told_as_not_at_rest():
    with Scene() as scene:
        axis = running(scene.network.drive(101, guard=False))
        for station in list(scene.bus.stations):
            if station.name == "node 101":
                scene.bus.detach(station)
        with pytest.raises((SdoTimeout, AdapterError, BroughtToRest)):
            axis.position  # noqa: B018
        with pytest.raises(NotAtRest):
            axis.close()
