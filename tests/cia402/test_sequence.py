"""Sequences: what a file may say, and that everything that is wrong with one is told with its line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cia402.sequence import ACTIONS, Amount, load_sequence, parse_sequence
from opendiag.errors import SequenceError

WHOLE = """\
name: First motion
node: 101
limits: {position: -1 rev .. 5 rev, velocity: 600 rpm, current: 2 A, time: 10 s}
on_failure: disable
steps:
  - enable
  - home: 35
    timeout: 5 s
  - move: 2.5 rev
    velocity: 300 rpm
    acceleration: 10 rev/s^2
  - expect: {position: 2.5 rev, tolerance: 0.01 rev, within: 200 ms}
  - repeat: 3
    on_failure: stop
    steps:
      - move_by: 0.5 rev
      - wait: 20ms
  - velocity: -60 rpm
    for: 0.5 s
  - torque: 0.1 A
    slope: 1 A/s
    for: 100 ms
  - set: {6081: 5000, 6083:00: 0x10}
  - expect: {6061:00: 4}
    on_failure: continue
  - expect: {state: operation enabled}
  - stop
  - disable
"""


def problems(text):
    with pytest.raises(SequenceError) as caught:
        parse_sequence(text, "turn.yaml")
    return list(caught.value.lines)


def steps(*lines, head="node: 101"):
    return head + "\nsteps:\n" + "".join(f"  {line}\n" for line in lines)


def test_a_whole_sequence():
    made = parse_sequence(WHOLE, "turn.yaml")
    assert (made.name, made.on_failure, list(made.axes)) == ("First motion", "disable", ["node 101"])
    spec = made.axes["node 101"]
    assert (spec.node_id, spec.axis, spec.units) == (101, 0, None)
    assert spec.limits.position == ("-1 rev", "5 rev")
    assert (spec.limits.velocity, spec.limits.current, spec.limits.time_s) == ("600 rpm", "2 A", 10.0)
    assert [(step.number, step.line, step.text()) for step in made.all_steps()] == [
        ("1", 6, "enable"),
        ("2", 7, "home by method 35"),
        ("3", 9, "move to 2.5 rev"),
        ("4", 12, "expect position 2.5 rev +/- 0.01 rev"),
        ("5", 13, "repeat 3 times"),
        ("5.1", 16, "move by 0.5 rev"),
        ("5.2", 17, "wait 0.02 s"),
        ("6", 18, "turn at -60 rpm for 0.5 s"),
        ("7", 20, "pull with 0.1 A for 0.1 s"),
        ("8", 23, "set 6081:00 = 5000, 6083:00 = 16"),
        ("9", 24, "expect 6061:00 4"),
        ("10", 26, "expect state OPERATION ENABLED"),
        ("11", 27, "stop"),
        ("12", 28, "disable"),
    ]
    by_number = {step.number: step for step in made.all_steps()}
    assert by_number["2"].seconds == {"timeout": 5.0}
    assert by_number["3"].option("velocity", "node 101") == Amount(300.0, "rpm", 10)
    assert by_number["4"].seconds == {"within": 0.2}
    assert [by_number[number].on_failure for number in ("1", "5", "5.1", "9")] == [
        "disable",
        "stop",
        "stop",
        "continue",
    ]


def test_several_axes_each_with_its_own():
    made = parse_sequence(
        """\
axes:
  x: 5
  y: {node: 6, axis: 1, limits: {position: 0..10 mm}, units: {position: {mm: 1000}, mm_per_rev: 5}}
limits: {position: [-1 rev, 1 rev]}
steps:
  - enable
  - home: {x: 35, y: 37}
  - move: {x: 1 rev, y: 5 mm}
    velocity: {x: 300 rpm, y: 10 mm/s}
  - move: 0.5 rev
    axis: x
  - disable: [y]
  - stop: x
  - disable
"""
    )
    assert {name: (axis.node_id, axis.axis) for name, axis in made.axes.items()} == {"x": (5, 0), "y": (6, 1)}
    assert made.axes["x"].limits.position == ("-1 rev", "1 rev")
    assert made.axes["y"].limits.position == (0.0, "10 mm")
    assert [step.axes for step in made.steps] == [
        ("x", "y"),
        ("x", "y"),
        ("x", "y"),
        ("x",),
        ("y",),
        ("x",),
        ("x", "y"),
    ]
    assert made.steps[2].option("velocity", "y") == Amount(10.0, "mm/s", 9)
    assert made.steps[2].text(several=True) == "x: move to 1 rev, y: move to 5 mm"


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        (["- enabel"], "3: no step 'enabel': did you mean enable?"),
        (["- enable", "- move: 2 revs"], "4: no unit 'revs' of position: did you mean rev?"),
        (["- enable", "- move: 2 rev", "  velocty: 3 rpm"], "5: move has no 'velocty': did you mean velocity?"),
        (["- enable", "- move: 2 rev", "  velocity: 300"], None),
        (["- enable", "- move: 2 rev", "  velocity: 3 mm"], "5: no unit 'mm' of velocity: did you mean mm/s?"),
        (["- enable", "- move: 2 rev", "  velocity: -3 rpm"], "5: velocity -3 rpm must be above 0"),
        (["- enable", "- move: fast"], "4: 'fast' is no number with a unit, as in '2.5 rev'"),
        (["- enable", "- move:"], "4: expected a position with a unit, as in '2.5 rev'"),
        (["- move: 2 rev"], "3: move: node 101 is not enabled here: '- enable' comes before"),
        (["- enable", "- disable", "- home"], "5: home: node 101 is not enabled here: '- enable' comes before"),
        (
            ["- enable", "- repeat: 2", "  steps:", "    - move: 1 rev", "    - disable"],
            "6: move: node 101 is not enabled here: '- enable' comes before",
        ),
        (["- enable", "- repeat: 1", "  steps:", "    - move: 1 rev", "    - disable"], None),
        (["- wait: soon"], "3: 'soon' is no time: expected one such as 0.5 s, 500 ms or 2 min"),
        (["- wait: -1 s"], "3: '-1 s' is no time: expected one such as 0.5 s, 500 ms or 2 min"),
        (["- enable", "- home: 300"], "4: '300' is no homing method: expected -128..127"),
        (["- enable", "  on_failure: stop"], "4: this is no YAML: mapping values are not allowed here; a step with"),
        (["- enable:", "  on_failure: stp"], "4: no on_failure 'stp': did you mean stop?"),
        (["- expect: {position: 1 rev}"], "3: expect position: give a tolerance, as nothing that is measured is exact"),
        (["- expect: {state: READY TO SWITCHON}"], "3: no state 'READY TO SWITCHON': did you mean READY TO SWITCH ON?"),
        (["- expect: {state: FAULT, position: 1 rev}", "  tolerance: 1 rev"], "3: expect is about one thing at a time"),
        (["- expect: {positon: 1}"], "did you mean position?"),
        (["- set: {6040: 15}"], "3: 6040h cannot be set: it is the controlword: enable, disable and stop write it"),
        (["- set: {6840: 15}"], "3: 6840h cannot be set: it is the controlword"),
        (["- set: {60FF: 15}"], "3: 60FFh cannot be set: it is a target: velocity writes it, within the limits"),
        (["- set: {607A: 1}"], "3: 607Ah cannot be set: it is a target: move and move_by write it"),
        (["- set: {6060: 8}"], "3: 6060h cannot be set: it is the mode of operation"),
        (["- set: {6081: quick}"], "3: 'quick' is no number"),
        (["- set: 5"], "3: set needs a mapping, as in set: {6081: 5000}"),
        (["- repeat: 0", "  steps: [enable]"], "3: '0' is no number of times: expected 1..100000"),
        (["- repeat: 2"], "3: steps is a list with at least one step"),
        (["- enable", "- {move: 1 rev, home: 35}"], "4: one step does one thing, not move and home"),
        (["- enable", "- move: 1 rev", "  move: 2 rev"], "5: 'move' is here twice, the first time in line 4"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(lines, told):
    if told is None:
        parse_sequence(steps(*lines))
        return
    found = problems(steps(*lines))
    assert any(f"turn.yaml:{told}" in line or told in line for line in found), found


@pytest.mark.parametrize(
    ("head", "told"),
    [
        ("node: 200", "turn.yaml:1: '200' is no node-ID: expected 1..127"),
        ("nod: 101", "turn.yaml:1: a sequence has no 'nod': did you mean node?"),
        ("name: x", "turn.yaml:1: no drive is named: give node: 101, or axes: {x: 101, y: 102}"),
        ("axes: {x: 5, y: 5}", "turn.yaml:1: axis y is the same drive as axis x"),
        ("axes: [5, 6]", "turn.yaml:1: axes is a mapping of names, as in {x: 101, y: 102}"),
        ("axes: {x: 5, y: 6}\nnode: 7", "turn.yaml:2: node belongs to the axes, where there are axes"),
        ("node: 101\nlimits: {positon: 1}", "turn.yaml:2: limits has no 'positon': did you mean position?"),
        ("node: 101\nlimits: {position: 1 rev}", "turn.yaml:2: position limits are two ends, as in -1 rev .. 5 rev"),
        (
            "node: 101\nlimits: {position: 5 rev .. 1 rev}",
            "turn.yaml:2: position limits 5 rev .. 1 rev: the first must",
        ),
        ("node: 101\nunits: {position: {turn: 4096}}", "turn.yaml:2: units: no unit 'turn' of position"),
        ("node: 101\nunits: nowhere.yaml", "turn.yaml:2: nowhere.yaml"),
    ],
)
def test_what_is_wrong_with_the_head(head, told):
    found = problems(steps("- enable", head=head))
    assert any(line.startswith(told) for line in found), found


def test_everything_is_told_at_once_in_the_order_of_the_file():
    found = problems(steps("- enabel", "- wait: soon", "- set: {6040: 15}"))
    assert [line.split(":")[1] for line in found] == ["3", "4", "5"]


@pytest.mark.parametrize("name", ["move", "home", "velocity", "torque"])
def test_of_several_axes_one_has_to_be_named(name):
    value = {"move": "1 rev", "home": "35", "velocity": "1 rpm", "torque": "1 A"}[name]
    text = f"axes: {{x: 5, y: 6}}\nsteps:\n  - enable\n  - {name}: {value}\n"
    assert problems(text) == [f"turn.yaml:4: {name}: which axis? Give {name}: {{x: ..}}, or axis: x"]
    parse_sequence(text + "    axis: y\n")
    assert "no axis 'z': expected x or y" in problems(text + "    axis: z\n")[0]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "turn.yaml:1: there is nothing in it"),
        ("steps: [", "turn.yaml:1: this is no YAML"),
        ("- enable", "turn.yaml:1: a sequence is a mapping"),
        ("a: &a [*a]\nb: *a", "turn.yaml"),
        ("a: !!python/object/apply:os.system [ls]", "turn.yaml:1: a sequence has no 'a'"),
    ],
)
def test_what_is_no_sequence_at_all(text, told):
    assert problems(text)[0].startswith(told)


def test_a_file_that_makes_too_much_of_itself_is_refused():
    text = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n" + "".join(
        f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 8)
    )
    assert "nested in itself" in problems(text)[0]


def test_a_units_file_is_looked_for_beside_the_sequence(tmp_path):
    (tmp_path / "axis.yaml").write_text("position: {mm: 1000}\n")
    file = tmp_path / "turn.yaml"
    file.write_text("node: 5\nunits: axis.yaml\nsteps: [enable, {move: 3 mm}]\n")
    assert load_sequence(file).axes["node 5"].units == tmp_path / "axis.yaml"
    with pytest.raises(SequenceError, match="it cannot be read: no such file"):
        load_sequence(tmp_path / "none.yaml")


@given(st.text(alphabet="enablmov:- \n{}[]&*12rev,\"'", max_size=80))
def test_any_text_is_read_or_refused(text):
    try:
        parse_sequence("node: 5\nsteps:\n" + text)
    except SequenceError as error:
        assert error.lines


@given(st.sampled_from(sorted(ACTIONS)), st.text(max_size=12))
def test_any_value_of_a_step_is_read_or_refused(action, value):
    import yaml

    content = {"node": 5, "steps": ["enable", {action: value}]}
    try:
        parse_sequence(yaml.safe_dump(content))
    except SequenceError as error:
        assert all(line is None or line >= 1 for line, _ in error.problems)


def test_a_key_of_a_step_that_is_not_indented_is_told_so():
    with pytest.raises(SequenceError, match="indent 'velocity' to make it part of the step above"):
        parse_sequence("node: 101\nsteps:\n  - enable\n  - move: 2 rev\nvelocity: 300 rpm\n", "turn.yaml")
