"""A drive that is no longer ours to move, by what it tells or does not tell: it and its mates stop at once."""

from __future__ import annotations

import pytest
from drive_scene import Scene

from opendiag.cia402.sequence import parse_sequence
from opendiag.errors import BroughtToRest, DriveError, OpenDiagError
from opendiag.frame import Frame
from opendiag.master.drive_sequence import SequenceRunner
from opendiag.wire.nmt import NmtCommand, NmtMessage

RPM = 600
SOON_S = 0.6
TWO = """axes: {x: 101, y: 102}
steps:
  - enable
  - move: {x: 1000 rev, y: 1000 rev}
    velocity: 600 rpm
"""


def nmt(scene, command):
    """As a frame for `At` to send: the bus may be in the middle of a step."""
    return [Frame(0, NmtMessage(command, 101).encode())]


def silence(scene, command=None):
    """Node 101 answers no SDO any more; its heartbeats go on."""
    drive = scene.drives[0]
    answer = drive.receive

    def receive(frame, now):
        if frame.can_id != 0x665:
            answer(frame, now)

    drive.receive = receive


WAYS = {
    "stopped": lambda scene: nmt(scene, NmtCommand.STOP),
    "pre-operational": lambda scene: nmt(scene, NmtCommand.ENTER_PRE_OPERATIONAL),
    "restarted": lambda scene: nmt(scene, NmtCommand.RESET_NODE),
    "silent": silence,
}


class At:
    """A machine of the bus that does something once."""

    def __init__(self, at, action):
        self.at, self.action, self.frames = at, action, []

    def receive(self, frame, now): ...

    def tick(self, now):
        if self.at is not None and now >= self.at:
            self.at = None
            self.frames = self.action() or []

    def deadline(self):
        return self.at

    def frames_to_send(self):
        frames, self.frames = self.frames, []
        return frames

    def events(self):
        return []


def turn_and_fail(scene, way, call):
    began = scene.clock.now() + 1.5
    for node_id in (101, 102):
        scene.observer.send(Frame(0, NmtMessage(NmtCommand.START, node_id).encode()))
    scene.bus.attach(At(began, lambda: WAYS[way](scene)), "world")
    with pytest.raises(OpenDiagError):
        call()
    return began


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("shape", ["one call of both", "a call of one", "a call of the other", "no call"])
def test_the_mates_stop_soon(way, shape):
    with Scene(2) as scene:
        axes = scene.network.drives(101, 102)

        def call():
            axes.enable()
            if shape == "one call of both":
                axes.move_to([1000, 1000], "rev", velocity=RPM)
            elif shape == "no call":
                axes.run_at([RPM, RPM])
                scene.network.sleep(3)
                axes.positions  # noqa: B018
            else:
                one, other = axes if shape == "a call of one" else reversed(list(axes))
                other.move_to(1000, "rev", velocity=RPM, wait=False)
                one.move_to(1000, "rev", velocity=RPM)

        began = turn_and_fail(scene, way, call)
        assert scene.rest_after(began, 1) <= SOON_S
        if way != "silent":
            assert scene.rest_after(began, 0) <= SOON_S


@pytest.mark.parametrize("way", WAYS)
def test_a_sequence_of_two_stops_both_soon(way):
    with Scene(2) as scene:
        runner = SequenceRunner(scene.network, parse_sequence(TWO, "two.yaml"))

        def call():
            timeline = runner.run()
            raise DriveError(101) if timeline.outcome != "ok" else AssertionError(timeline)

        began = turn_and_fail(scene, way, call)
        assert scene.rest_after(began, 1) <= SOON_S
        if way != "silent":
            assert scene.rest_after(began, 0) <= SOON_S


@pytest.mark.parametrize("way", ["stopped", "pre-operational"])
def test_a_drive_alone_that_says_so_is_stopped_too(way):
    with Scene(1) as scene, scene.network.drive(101) as axis:

        def call():
            axis.enable()
            axis.run_at(RPM)
            scene.network.sleep(3)
            axis.move_to(1)

        began = turn_and_fail(scene, way, call)
        assert scene.rest_after(began) <= SOON_S


def test_a_drive_that_works_in_pre_operational_goes_on_there():
    with Scene(1) as scene:
        scene.observer.send(*nmt(scene, NmtCommand.ENTER_PRE_OPERATIONAL))
        scene.drives[0].store.set(0x1017, 0, 0)
        with scene.network.drive(101) as axis:
            axis.enable()
            assert axis.move_to(1, "rev", velocity=RPM) == pytest.approx(1, abs=0.01)


def test_what_our_own_rest_has_told_it_stops_nothing_later():
    with Scene(1) as scene, scene.network.drive(101) as axis:
        axis.enable()
        answer = scene.drives[0].receive
        silence(scene)
        scene.network.sleep(0.1)
        with pytest.raises(OpenDiagError):
            axis.position  # noqa: B018
        scene.drives[0].receive = answer
        axis.guard.bring_to_rest()
        axis.enable()
        scene.network.sleep(0.5)
        assert axis.move_by(1, "rev", velocity=RPM)


def test_the_next_call_tells_which_state_it_was():
    with Scene(1) as scene, scene.network.drive(101) as axis:
        scene.observer.send(*nmt(scene, NmtCommand.START))
        axis.enable()
        scene.observer.send(*nmt(scene, NmtCommand.STOP))
        scene.network.sleep(1)
        with pytest.raises(BroughtToRest, match="STOPPED"):
            axis.move_to(1)
