"""What a drive refuses before anything is written, and that it holds once it is enabled."""

from __future__ import annotations

import pytest
from drive_scene import Scene

from opendiag.errors import DriveClosed, ModeRefused, OutsideLimits, UnknownTarget


def test_an_enabled_drive_that_was_in_torque_mode_holds_a_load():
    with Scene() as scene, scene.network.drive(101) as axis:
        axis.enable()
        assert axis.mode == 1
        scene.motor.load_torque = 0.05
        before = scene.motor.position
        scene.network.sleep(1)
        assert abs(scene.motor.position - before) < 0.1
        scene.motor.load_torque = 0.0  # without current, nothing holds it


def test_a_torque_mode_that_was_asked_for_stays():
    with Scene() as scene, scene.network.drive(101) as axis:
        axis.set_mode("tq")
        axis.enable()
        assert axis.mode == 4


def test_a_refused_mode_leaves_the_drive_enabled_in_its_mode():
    with Scene() as scene, scene.network.drive(101) as axis:
        axis.enable()
        with pytest.raises(ModeRefused):
            axis.set_mode(5)
        assert axis.mode == 1
        assert scene.drives[0].energised


def test_a_drive_whose_block_was_left_refuses():
    with Scene() as scene:
        with scene.network.drive(101) as axis:
            axis.enable()
        for call in (axis.enable, lambda: axis.move_to(1)):
            with pytest.raises(DriveClosed):
                call()
        assert axis.position is not None


def test_an_axis_that_is_not_there_is_refused_and_the_node_is_not_stopped():
    with Scene() as scene:
        seen = []
        scene.observer.subscribe(lambda frame: seen.append(frame) if frame.can_id == 0 else None)
        with scene.network.drive(101, axis=1) as axis:
            for call in (axis.enable, axis.disable, axis.quick_stop):
                with pytest.raises(UnknownTarget, match="axis"):
                    call()
        scene.later(1)
        assert not seen


def test_a_negative_magnitude_is_refused():
    with Scene() as scene, scene.network.drive(101) as axis:
        axis.enable()
        with pytest.raises(OutsideLimits, match="-3 rpm"):
            axis.move_to(1, "rev", velocity="-3 rpm")


def test_what_a_killed_run_left_is_not_put_back():
    with Scene() as scene:
        scene.drives[0].store.set(0x1016, 1, 127 << 16 | 300)
        with scene.network.drive(101) as axis:
            axis.enable()
        assert scene.drives[0].store.get(0x1016, 1) == 0
