"""Sequences carried out on simulated drives: what moves, what is checked first, and what becomes of a failure."""

import pytest

import opendiag
from opendiag.cia402.sequence import parse_sequence
from opendiag.cia402.states import PdsState
from opendiag.errors import NotAtRest, SequenceError
from opendiag.master.clock import ManualClock
from opendiag.master.connect import connect
from opendiag.master.drive_sequence import SequenceRunner, run_sequence
from opendiag.simulate.bus import SimBus
from opendiag.simulate.stepim import StepIM

ENABLED = PdsState.OPERATION_ENABLED


class At:
    """A station that does something at a time."""

    def __init__(self, at, action):
        self.at, self.action = at, action

    def receive(self, frame, now): ...

    def tick(self, now):
        if self.at is not None and now >= self.at:
            self.at = None
            self.action(now)

    def deadline(self):
        return self.at

    def frames_to_send(self):
        return []

    def events(self):
        return []


class Bench:
    """StepIMs on a bus, and the network of the script."""

    def __init__(self, *node_ids):
        self.bus = SimBus()
        self.nodes = {node_id: StepIM(node_id) for node_id in node_ids}
        self.stations = {node_id: self.bus.attach(node, f"node {node_id}") for node_id, node in self.nodes.items()}
        self.network = connect(self.bus, clock=ManualClock())
        self.network.sleep(2.0)

    def later(self, seconds, action):
        self.bus.attach(At(self.network.clock.now() + seconds, action), "world")

    def run(self, text, **options):
        return run_sequence(self.network, parse_sequence(text, "turn.yaml"), **options)

    def states(self):
        return {node_id: node.pds.state for node_id, node in self.nodes.items()}

    def turns(self, node_id):
        return self.nodes[node_id].motor.position


@pytest.fixture
def bench():
    made = Bench(5, 6)
    yield made
    made.network.close()


def steps(*lines, head="node: 5"):
    return f"{head}\nsteps:\n" + "".join(f"  {line}\n" for line in lines)


def outcomes(timeline):
    return [(step.number, step.outcome) for step in timeline.steps]


TURN = ["- enable", "- home: 35", "- move: 2 rev", "  velocity: 300 rpm", "- disable"]


def test_the_motor_goes_where_the_sequence_says(bench):
    began = bench.turns(5)
    timeline = bench.run(steps(*TURN))
    assert (timeline.outcome, timeline.reason, timeline.error) == ("ok", "", None)
    assert outcomes(timeline) == [("1", "ok"), ("2", "ok"), ("3", "ok"), ("4", "ok")]
    assert abs(bench.turns(5) - began - 2.0) < 0.01
    assert bench.states()[5] is not ENABLED
    assert timeline.at_rest == {"node 5": True}
    times = [time for step in timeline.steps for time in (step.began, step.ended)]
    assert times == sorted(times) and times[-1] <= timeline.ended


def test_the_timeline_shows_the_motion(bench):
    timeline = bench.run(steps(*TURN))
    samples = timeline.samples["node 5"]
    assert samples.units == {"position": "rev", "velocity": "rpm", "current": "A"}
    assert len(samples.times) == len(samples.values["position"]) > 30
    assert samples.times == sorted(samples.times)
    assert max(samples.values["velocity"]) == pytest.approx(300, rel=0.05)
    assert samples.values["position"][-1] == pytest.approx(2.0, abs=0.01)
    assert samples.missed == 0
    content = timeline.to_dict()
    assert content["axes"]["node 5"]["position"][-1] == pytest.approx(2.0, abs=0.01)
    assert content["steps"][2]["text"] == "move to 2 rev"


def test_repeat_and_relative_moves(bench):
    timeline = bench.run(
        steps("- enable", "- home: 35", "- repeat: 3", "  steps:", "    - move_by: 0.25 rev", "- disable")
    )
    assert [step.place for step in timeline.steps[2:5]] == ["3.1 (turn 1)", "3.1 (turn 2)", "3.1 (turn 3)"]
    assert timeline.samples["node 5"].values["position"][-1] == pytest.approx(0.75, abs=0.01)


def test_a_velocity_and_a_torque_for_some_time(bench):
    timeline = bench.run(
        steps(
            "- enable", "- velocity: 60 rpm", "  for: 1 s", "- torque: 0.05 A", "  for: 100 ms", "- stop", "- disable"
        )
    )
    assert timeline.outcome == "ok", timeline.reason
    assert max(timeline.samples["node 5"].values["velocity"]) > 55
    assert bench.turns(5) > 0.9


def test_a_motion_that_goes_on_is_ended_by_the_end(bench):
    timeline = bench.run(steps("- enable", "- velocity: 60 rpm"))
    assert (timeline.outcome, timeline.at_rest) == ("ok", {"node 5": True})
    assert bench.states()[5] is not ENABLED
    before = bench.turns(5)
    bench.network.sleep(0.5)
    assert bench.turns(5) == pytest.approx(before, abs=1e-6)


def test_two_axes_set_off_together(bench):
    timeline = bench.run(
        steps(
            "- enable",
            "- home: {x: 35, y: 35}",
            "- move: {x: 1 rev, y: -1 rev}",
            "- disable",
            head="axes: {x: 5, y: 6}",
        )
    )
    assert timeline.outcome == "ok", timeline.reason
    first = [
        next(
            at
            for at, value in zip(timeline.samples[name].times, timeline.samples[name].values["position"], strict=True)
            if abs(value) > 0.02
        )
        for name in ("x", "y")
    ]
    assert abs(first[0] - first[1]) < 0.05
    assert timeline.samples["x"].values["position"][-1] == pytest.approx(1.0, abs=0.01)
    assert timeline.samples["y"].values["position"][-1] == pytest.approx(-1.0, abs=0.01)


# --- everything is checked before anything is sent -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["- enable", "- move: 6 rev"], "turn.yaml:5: move: drive 5: position 6 rev is outside -1 rev to 5 rev"),
        (
            ["- enable", "- move: 1 rev", "  velocity: 700 rpm"],
            "turn.yaml:5: move: drive 5: velocity 700 rpm is outside",
        ),
        (["- enable", "- velocity: 601 rpm"], "turn.yaml:5: velocity: drive 5: velocity 601 rpm is outside"),
        (["- enable", "- torque: 3 A"], "turn.yaml:5: torque: drive 5: current 3 A is outside 2 A either way"),
        (["- enable", "- move: 3 mm"], "turn.yaml:5: move: drive 5: no unit of position for this drive 'mm'"),
        (["- enable", "- home: 36"], "turn.yaml:5: home: drive 5 has no homing method 36"),
        (["- set: {3FFF: 1}"], "turn.yaml:4: set: the type of 3FFF:00 is not known"),
        (["- set: {6060:01: 1}"], "6060h cannot be set"),
        (["- set: {6098: 1000}"], "turn.yaml:4: set: "),
        (
            ["- enable", "- move: 4 rev", "- repeat: 3", "  steps:", "    - move_by: 0.5 rev"],
            "turn.yaml:8: move_by: drive 5: position 5.5 rev is outside -1 rev to 5 rev",
        ),
        (["- expect: {position: 1 mm, tolerance: 1 mm}"], "turn.yaml:4: expect: drive 5: no unit of position"),
    ],
)
def test_what_does_not_fit_is_told_before_anything_is_sent(bench, lines, told):
    written = []
    bench.bus.attach(Writes(5, written), "listener")
    with pytest.raises(SequenceError) as caught:
        bench.run(steps(*lines, head="node: 5\nlimits: {position: -1 rev .. 5 rev, velocity: 600 rpm, current: 2 A}"))
    assert any(told in line for line in caught.value.lines), caught.value.lines
    assert written == []


class Writes:
    """Keeps the SDO downloads to a node."""

    def __init__(self, node_id, found):
        self.can_id, self.found = 0x600 + node_id, found

    def receive(self, frame, now):
        if frame.can_id == self.can_id and frame.data and frame.data[0] >> 5 == 1:
            self.found.append(frame)

    def tick(self, now): ...

    def deadline(self):
        return None

    def frames_to_send(self):
        return []

    def events(self):
        return []


def test_what_is_wrong_in_the_last_step_keeps_the_first_from_being_done(bench):
    with pytest.raises(SequenceError):
        bench.run(steps("- enable", "- home: 35", "- velocity: 1e9 rpm"))
    assert bench.states()[5] is not ENABLED


# --- failures ---------------------------------------------------------------------------------------------------------


def test_a_fault_in_a_motion_ends_it_and_stops_the_other_axis(bench):
    bench.later(1.0, lambda now: bench.nodes[5].inject(0x2310))
    timeline = bench.run(
        steps(
            "- enable", "- move: {x: 50 rev, y: 50 rev}", "  velocity: 60 rpm", "- disable", head="axes: {x: 5, y: 6}"
        )
    )
    assert timeline.outcome == "failed"
    assert outcomes(timeline) == [("1", "ok"), ("2", "failed")]
    assert timeline.reason.startswith("turn.yaml:4: step 2 (x: move to 50 rev, y: move to 50 rev): drive 5: fault")
    assert "2310h" in timeline.reason
    assert timeline.at_rest == {"x": True, "y": True}
    assert ENABLED not in bench.states().values()
    assert abs(bench.turns(6)) < 5


def test_a_drive_that_drops_out_while_another_moves_stops_that(bench):
    bench.later(1.0, lambda now: bench.nodes[6].inject(0x2310))
    timeline = bench.run(steps("- enable", "- move: {x: 50 rev}", "  velocity: 60 rpm", head="axes: {x: 5, y: 6}"))
    assert timeline.outcome == "failed" and "drive 6: fault" in timeline.reason
    assert ENABLED not in bench.states().values()
    assert abs(bench.turns(5)) < 5


def test_a_fault_while_the_sequence_waits_is_noticed(bench):
    bench.later(1.0, lambda now: bench.nodes[5].inject(0x2310))
    timeline = bench.run(steps("- enable", "- wait: 60 s"))
    assert timeline.outcome == "failed" and timeline.ended < 2
    assert "drive 5: fault while the sequence was waiting" in timeline.reason


def test_a_failed_expectation_ends_the_sequence(bench):
    timeline = bench.run(steps("- enable", "- expect: {state: FAULT, within: 100 ms}", "- move: 1 rev"))
    assert outcomes(timeline) == [("1", "ok"), ("2", "failed")]
    assert "expecting state FAULT within 0.1 s failed: it is OPERATION ENABLED" in timeline.reason
    assert bench.states()[5] is not ENABLED


def test_on_failure_continue_goes_on_and_the_failure_counts(bench):
    timeline = bench.run(
        steps(
            "- enable",
            "- expect: {position: 3 rev, tolerance: 0.1 rev}",
            "  on_failure: continue",
            "- move: 1 rev",
            "- disable",
        )
    )
    assert outcomes(timeline) == [("1", "ok"), ("2", "failed"), ("3", "ok"), ("4", "ok")]
    assert (timeline.outcome, timeline.at_rest) == ("failed", {"node 5": True})


def test_a_limit_of_the_script_ends_it_even_where_it_is_to_go_on(bench):
    timeline = bench.run(
        steps(
            "- enable",
            "- velocity: 300 rpm",
            "  on_failure: continue",
            "- wait: 5 s",
            "- velocity: -300 rpm",
            head="node: 5\non_failure: continue\nlimits: {position: -1 rev .. 1 rev}",
        )
    )
    assert timeline.outcome == "failed" and "beyond" in timeline.reason
    assert len(timeline.steps) == 3
    assert bench.states()[5] is not ENABLED
    assert bench.turns(5) < 2


def test_on_failure_disable_uses_the_ramp(bench):
    stopped = bench.run(steps("- enable", "- velocity: 300 rpm", "- expect: {state: FAULT}"))
    ramped = bench.run(
        steps("- enable", "- velocity: 300 rpm", "- expect: {state: FAULT}", head="node: 6\non_failure: disable")
    )
    assert stopped.at_rest == {"node 5": True} and ramped.at_rest == {"node 6": True}
    assert ENABLED not in bench.states().values()


def test_ctrl_c_brings_all_to_rest_and_leaves_the_timeline(bench):
    sequence = parse_sequence(
        steps("- enable", "- move: {x: 50 rev}", "  velocity: 60 rpm", head="axes: {x: 5, y: 6}"), "turn.yaml"
    )
    runner = SequenceRunner(bench.network, sequence)

    def interrupt(now):
        raise KeyboardInterrupt

    bench.later(1.5, interrupt)
    with pytest.raises(KeyboardInterrupt):
        runner.run()
    assert ENABLED not in bench.states().values()
    assert runner.timeline.outcome == "stopped"
    assert outcomes(runner.timeline) == [("1", "ok"), ("2", "stopped")]


def test_a_lost_drive_is_told(bench):
    bench.later(1.0, lambda now: bench.bus.detach(bench.stations[5]))
    runner = SequenceRunner(bench.network, parse_sequence(steps("- enable", "- wait: 10 s"), "turn.yaml"))
    with pytest.raises(NotAtRest):
        runner.run()
    assert (runner.timeline.outcome, runner.timeline.at_rest) == ("failed", {"node 5": False})
    assert outcomes(runner.timeline) == [("1", "ok"), ("2", "failed")]


def test_the_settings_of_the_drive_are_given_back(bench):
    before = dict(bench.nodes[5].store.values)
    bench.run(steps("- enable", "- disable"))
    after = bench.nodes[5].store.values
    assert {key: after[key] for key in ((0x1016, 1), (0x1017, 0), (0x6007, 0))} == {
        key: before[key] for key in ((0x1016, 1), (0x1017, 0), (0x6007, 0))
    }


def test_it_is_reached_from_the_network_by_a_file(tmp_path):
    file = tmp_path / "turn.yaml"
    file.write_text(steps(*TURN, head="node: 101"))
    with opendiag.connect("sim:stepim", clock=ManualClock()) as network:
        assert run_sequence(network, file).outcome == "ok"
