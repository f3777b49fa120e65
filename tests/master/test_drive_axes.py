"""Drives that belong together: what befalls one of them stops the others at once, in a call and outside."""

from __future__ import annotations

import pytest
from drive_scene import Scene

from opendiag.errors import BroughtToRest, DriveFault, NotAtRest, SdoTimeout
from opendiag.wire.emcy import Emcy

RPM = 600
#: From what happened to one until the others stand, their ramp of 20 ms included.
AT_ONCE_S = 0.1


def turning(scene, **options):
    axes = scene.network.drives(101, 102, **options)
    axes.enable()
    axes.run_at([RPM, RPM], wait=True)
    return axes


def cut_off(scene, name):
    scene.bus.detach(next(station for station in scene.bus.stations if station.name == name))


def uploads(scene, index, seconds):
    """How often an object of node 101 is asked for in that time."""
    seen = []
    end = scene.network.subscribe(seen.append)
    scene.network.sleep(seconds)
    end()
    head = bytes((0x40, index & 0xFF, index >> 8))
    return sum(frame.can_id == 0x665 and frame.data[:3] == head for frame in seen)


def test_a_fault_outside_any_call_stops_the_others_at_once():
    with Scene(2) as scene, turning(scene) as (x, y):
        began = scene.clock.now()
        scene.drives[0].fault(0x2310, began)
        scene.network.sleep(0.5)
        assert scene.rest_after(began, 1) <= AT_ONCE_S
        with pytest.raises(BroughtToRest, match=r"2310h.*\(drive 101\)"):
            y.position  # noqa: B018
        with pytest.raises(DriveFault, match="2310h") as caught:
            x.move_to(1)
        assert caught.value.at_rest


def test_a_drive_that_somebody_else_disables_stops_the_others_at_once():
    with Scene(2) as scene, turning(scene) as (x, y):
        began = scene.clock.now()
        scene.observer.write(101, 0x6040, 0)
        scene.network.sleep(0.5)
        assert scene.rest_after(began, 1) <= AT_ONCE_S
        with pytest.raises(BroughtToRest, match=r"left OPERATION ENABLED.*\(drive 101\)"):
            y.position  # noqa: B018
        with pytest.raises(BroughtToRest, match="left OPERATION ENABLED"):
            x.position  # noqa: B018


def test_a_fault_that_only_the_emcy_tells_in_time_is_looked_at_when_it_comes():
    with Scene(2) as scene, turning(scene) as axes:
        for drive in axes:
            drive.watch.every_s = 5.0  # no look of its own comes in time
        scene.network.sleep(0.1)
        began = scene.clock.now()
        scene.drives[0].fault(0x2310, began)
        scene.network.sleep(0.5)
        assert scene.rest_after(began, 1) <= AT_ONCE_S
        with pytest.raises(BroughtToRest):
            axes[1].position  # noqa: B018


def test_an_emcy_that_is_no_fault_stops_nothing():
    with Scene(2) as scene, turning(scene) as axes:
        from opendiag.frame import Frame

        scene.observer.send(Frame(0xE5, Emcy(0xFF01, 0x81, b"\0\0\0\0\0").encode()))
        scene.network.sleep(0.5)
        assert [abs(drive.motor.velocity) > 5 for drive in scene.drives] == [True, True]
        assert axes.positions


def test_a_drive_that_is_lost_and_has_no_heartbeat_stops_the_others():
    with Scene(2) as scene:
        axes = turning(scene, guard=False)
        for drive in scene.drives:
            drive.store.set(0x1017, 0, 0)
        scene.network.sleep(0.2)
        began = scene.clock.now()
        cut_off(scene, "node 101")
        scene.network.sleep(2)
        assert scene.rest_after(began, 1) <= 0.8
        with pytest.raises(BroughtToRest, match=r"could not be looked at.*\(drive 101\)"):
            axes[1].position  # noqa: B018


@pytest.mark.parametrize("together", [True, False], ids=["one call of both", "a call of one"])
def test_the_others_do_not_wait_for_the_rest_of_the_one_that_fails(together):
    """One that does not answer is tried for 8 s."""
    with Scene(2) as scene:
        axes = scene.network.drives(101, 102, guard=False)
        axes.enable()
        for drive in axes:
            drive.watch.every_s = 100.0  # this is about the call
        x, y = axes
        y.move_to(1000, velocity=RPM, wait=False)
        scene.network.sleep(0.2)
        began = scene.clock.now()
        cut_off(scene, "node 101")
        with pytest.raises(NotAtRest) as caught:
            axes.move_to([1000, 1000], "rev", velocity=RPM) if together else x.move_to(1, "rev")
        assert caught.value.node_id == 101
        assert isinstance(caught.value.__cause__, SdoTimeout)
        assert scene.rest_after(began, 1) <= 1.1  # an SDO answer is waited for twice 0.5 s
        if not together:
            with pytest.raises(BroughtToRest, match=r"\(drive 101\)"):
                y.position  # noqa: B018


def test_what_a_script_does_on_purpose_to_one_leaves_the_others_alone():
    with Scene(2) as scene, turning(scene) as (x, y):
        looks = iter(range(20))
        for stop in (
            x.disable,
            x.quick_stop,
            x.stop,
            x.halt,
            lambda: x.jog(60, keep_alive=lambda: next(looks, None) is not None),
            x.close,
        ):
            x.enable()
            if stop is not x.halt:
                x.unhalt()
            x.set_mode("pv")
            stop()
            scene.network.sleep(0.1)
            assert abs(scene.drives[1].motor.velocity) > 5, stop
        assert y.velocity == pytest.approx(RPM, rel=0.1)


def test_enabling_again_and_again_does_not_add_looks():
    with Scene(2) as scene, scene.network.drives(101, 102, limits={"position": (-50, 50)}) as axes:
        axes.enable()
        once = uploads(scene, 0x6064, 0.5), uploads(scene, 0x6041, 0.5)
        for _ in range(5):
            axes.enable()
            axes[0].enable()
        assert once[0] > 10
        assert once[1] > 10
        assert uploads(scene, 0x6064, 0.5) <= once[0] + 2
        assert uploads(scene, 0x6041, 0.5) <= once[1] + 2


def test_one_drive_alone_is_not_looked_at_when_nothing_is_to_be_watched():
    with Scene() as scene, scene.network.drive(101) as axis:
        axis.enable()
        assert uploads(scene, 0x6041, 0.5) == 0
