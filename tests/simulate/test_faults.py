"""Faults on purpose: which frames they take, what they do, and what a bad script is told."""

import json
from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.frame import Frame
from opendiag.simulate.bus import SimBus
from opendiag.simulate.faults import ACTIONS, SERVICES, Fault

RATE = 500_000


def run(faults, frames, *, seed=0, until=1.0, bit_rate=RATE):
    """Send the frames one after the other; what the other station got as (CAN-ID, data), and the bus."""
    bus = SimBus(bit_rate, faults=faults, seed=seed)
    sender, receiver = bus.attach(name="sender"), bus.attach(name="receiver", report_errors=False)
    for frame in frames:
        sender.send(frame)
    bus.run_until(until)
    return [(frame.can_id, frame.data) for frame in receiver.receive()], bus


def numbered(count, can_id=0x585):
    return [Frame(can_id, bytes([n])) for n in range(count)]


def numbers(got):
    return [data[0] for _, data in got]


# --- what they do ---------------------------------------------------------------------------------------------------


def test_drop_the_third_answer_of_node_5():
    fault = Fault("drop", service="sdo response", node=5, nth=3)
    frames = [frame for n in range(5) for frame in (Frame(0x586, bytes([n])), Frame(0x585, bytes([n])), Frame(0x605))]
    got, bus = run([fault], frames)
    assert numbers(entry for entry in got if entry[0] == 0x585) == [0, 1, 3, 4]
    assert len(got) == 14
    (fired,) = bus.fired
    assert (fired.number, fired.fault, fired.frame, fired.senders) == (0, fault, Frame(0x585, b"\2"), ("sender",))
    counted = bus.statistics()
    assert (counted.sent, counted.lost_by_faults, counted.error_frames) == (15, 1, 0)


def test_delay():
    got, bus = run([Fault("delay", nth=1, delay_s=0.5)], numbered(3), until=0.4)
    assert numbers(got) == [1, 2] and bus.statistics().late == 1
    receiver = bus.stations[1]
    at = bus.next_event()
    bus.run_until(1.0)
    (late,) = receiver.receive()
    assert late.data == b"\0" and late.time_ns == round(at * 1e9) and at == pytest.approx(0.5, abs=0.001)
    assert bus.statistics().late == 0


def test_duplicate():
    assert numbers(run([Fault("duplicate", nth=2)], numbered(3))[0]) == [0, 1, 1, 2]
    assert numbers(run([Fault("duplicate", nth=2, delay_s=0.1)], numbered(3))[0]) == [0, 1, 2, 1]


def test_corrupt_changes_data():
    got, bus = run([Fault("corrupt", xor=b"\xff\0\x01")], [Frame(1, b"\x0f\x22\x33\x44"), Frame(2, b"\1"), Frame(3)])
    assert got == [(1, b"\xf0\x22\x32\x44"), (2, b"\xfe"), (3, b"")]
    assert len(bus.fired) == 2, "the empty frame cannot be changed"


def test_error_is_on_the_bus_and_is_repeated():
    got, bus = run([Fault("error", nth=2)], numbered(3))
    assert numbers(got) == [0, 1, 2]
    assert (bus.statistics().error_frames, len(bus.fired)) == (1, 1)


def test_reorder_swaps_with_the_next_that_it_is_about():
    frames = [Frame(0x585, b"\0"), Frame(0x705, b"\5"), Frame(0x585, b"\1"), Frame(0x585, b"\2")]
    got, bus = run([Fault("reorder", service="sdo response", nth=1)], frames)
    assert numbers(got) == [5, 1, 0, 2] and bus.statistics().held_by_faults == 0


def test_reorder_of_every_second():
    assert numbers(run([Fault("reorder", every=2)], numbered(7))[0]) == [0, 2, 1, 4, 3, 6, 5]
    assert numbers(run([Fault("reorder")], numbered(4))[0]) == [1, 0, 3, 2]


def test_a_held_frame_is_counted_and_comes_after_its_time():
    got, bus = run([Fault("reorder", nth=3)], numbered(3))
    assert numbers(got) == [0, 1] and bus.statistics().held_by_faults == 1
    got, bus = run([Fault("reorder", nth=3, delay_s=0.2)], numbered(3))
    assert numbers(got) == [0, 1, 2] and bus.statistics().held_by_faults == 0


def test_two_held_frames_each_come_at_their_time():
    faults = [Fault("reorder", can_id=1, delay_s=0.3), Fault("reorder", can_id=2, delay_s=0.1)]
    got, bus = run(faults, [Frame(1), Frame(2)], until=0.2)
    assert [can_id for can_id, _ in got] == [2]
    bus.run_until(1.0)
    assert [frame.can_id for frame in bus.stations[1].receive()] == [1]


def test_a_held_frame_is_not_lost():
    got, bus = run([Fault("reorder", nth=1), Fault("drop", nth=1)], numbered(2))
    assert numbers(got) == [1, 0] and bus.statistics().lost_by_faults == 0


def test_replace():
    assert run([Fault("replace", nth=1, frame=Frame(9, b"z"))], numbered(1))[0] == [(9, b"z")]


def test_inject_is_a_frame_on_the_bus_that_the_sender_gets_too():
    got, bus = run([Fault("inject", nth=1, frame=Frame(0x080, b"!"))], numbered(2))
    assert got == [(0x585, b"\0"), (0x080, b"!"), (0x585, b"\1")]
    assert [frame.can_id for frame in bus.stations[0].receive()] == [0x080]
    counted = bus.statistics()
    assert (counted.frames, counted.injected, counted.queued, counted.sent) == (3, 1, 3, 3)


def test_an_injected_frame_does_not_set_off_faults():
    got, bus = run([Fault("inject", frame=Frame(1, b"i"), delay_s=0.01)], numbered(2))
    assert len(got) == 4 and len(bus.fired) == 2


def test_faults_of_a_script_work_together():
    script = [Fault("duplicate", nth=1), Fault("corrupt", nth=1, xor=b"\x80"), Fault("drop", nth=2)]
    got, bus = run(script, numbered(3))
    assert numbers(got) == [0x80, 0x80, 2]
    assert [fired.number for fired in bus.fired] == [0, 1, 2]


def test_without_bit_rate():
    assert numbers(run([Fault("drop", every=2)], numbered(4), bit_rate=None)[0]) == [0, 2]


# --- which frames they take -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selection", "dropped"),
    [
        ({}, [0, 1, 2, 3, 4, 5, 6, 7]),
        ({"nth": 3}, [2]),
        ({"every": 3}, [2, 5]),
        ({"nth": 2, "every": 3}, [1, 4, 7]),
        ({"limit": 2}, [0, 1]),
        ({"every": 2, "limit": 2}, [1, 3]),
        ({"probability": 0.0}, []),
        ({"probability": 1.0, "limit": 1}, [0]),
    ],
)
def test_selection(selection, dropped):
    got, bus = run([Fault("drop", **selection)], numbered(8))
    assert sorted({*range(8)} - {*numbers(got)}) == dropped
    assert len(bus.fired) == len(dropped)


def test_time_window_counts_from_the_start_of_the_bus():
    bus = SimBus(RATE, faults=[Fault("drop", from_s=1.0, until_s=2.0)], start=50.0)
    sender, receiver = bus.attach(), bus.attach()
    for second in range(4):
        bus.run_until(50.0 + second)
        sender.send(Frame(second))
    bus.run_until(60.0)
    assert [frame.can_id for frame in receiver.receive()] == [0, 2, 3]


def test_sender():
    bus = SimBus(RATE, faults=[Fault("drop", sender="a")])
    a, b, c = bus.attach(name="a"), bus.attach(name="b"), bus.attach(name="c")
    a.send(Frame(1))
    b.send(Frame(2))
    bus.run_until(1.0)
    assert [frame.can_id for frame in c.receive()] == [2]


@pytest.mark.parametrize(
    ("match", "frame", "matches"),
    [
        ({"can_id": 0x585}, Frame(0x585), True),
        ({"can_id": 0x585}, Frame(0x585, extended=True), False),
        ({"can_id": 0x585, "extended": True}, Frame(0x585, extended=True), True),
        ({"service": "SDO response"}, Frame(0x586), True),
        ({"service": "sdo response", "node": 5}, Frame(0x586), False),
        ({"service": "sdo response"}, Frame(0x585, extended=True), False),
        ({"node": 5}, Frame(0x705), True),
        ({"node": 5}, Frame(0x705, extended=True), False),
        ({"service": "heartbeat"}, Frame(0x705), True),
        ({"service": "tpdo"}, Frame(0x285), True),
        ({"service": "tpdo2"}, Frame(0x285), True),
        ({"service": "tpdo1"}, Frame(0x285), False),
        ({"service": "sync"}, Frame(0x080), True),
        ({"service": "emcy"}, Frame(0x080), False),
        ({"service": "nmt"}, Frame(0x000), True),
    ],
)
def test_match(match, frame, matches):
    assert Fault("drop", **match).concerns(frame, ("a",), 0.0) is matches


def test_chance_follows_the_seed():
    script = [Fault("drop", probability=0.3), Fault("duplicate", probability=0.2), Fault("error", probability=0.1)]
    one, bus = run(script, numbered(200), seed=7)
    again, bus_again = run(script, numbered(200), seed=7)
    other, _ = run(script, numbered(200), seed=8)
    assert one == again and bus.fired == bus_again.fired and bus.statistics() == bus_again.statistics()
    assert one != other
    assert 30 < sum(fired.number == 0 for fired in bus.fired) < 90


# --- nothing is lost unreported -------------------------------------------------------------------------------------

MATCHES = st.fixed_dictionaries(
    {},
    optional={
        "nth": st.integers(1, 4),
        "every": st.integers(1, 4),
        "limit": st.integers(1, 3),
        "can_id": st.sampled_from([0x585, 0x705]),
        "sender": st.just("sender"),
        "probability": st.floats(0, 1),
        "from_s": st.floats(0, 0.001),
    },
)
EFFECTS = st.one_of(
    st.just({"action": "drop"}),
    st.just({"action": "error"}),
    st.fixed_dictionaries({"action": st.just("delay"), "delay_s": st.floats(0, 2)}),
    st.fixed_dictionaries({"action": st.just("duplicate"), "delay_s": st.floats(0, 2)}),
    st.fixed_dictionaries({"action": st.just("reorder"), "delay_s": st.none() | st.floats(0, 2)}),
    st.fixed_dictionaries({"action": st.just("corrupt"), "xor": st.just(b"\x80")}),
    st.fixed_dictionaries({"action": st.just("replace"), "frame": st.just(Frame(0x123, b"r", extended=True))}),
    st.fixed_dictionaries({"action": st.just("inject"), "frame": st.just(Frame(0x321, remote=True, dlc=3))}),
)
FAULTS = st.builds(lambda match, effect: Fault(**match, **effect), MATCHES, EFFECTS)


@given(FAULTS)
def test_scripts_survive_json(fault):
    assert Fault.from_dict(json.loads(json.dumps(fault.to_dict()))) == fault


@given(st.lists(FAULTS, max_size=4), st.lists(st.sampled_from([0x585, 0x705]), max_size=12), st.integers(0, 3))
def test_what_does_not_arrive_is_accounted_for(faults, can_ids, seed):
    """Without duplicates and injections: sent = arrived + lost + held + late."""
    faults = [fault for fault in faults if fault.action not in ("duplicate", "inject")]
    frames = [Frame(can_id, bytes([n])) for n, can_id in enumerate(can_ids)]
    got, bus = run(faults, frames, seed=seed)
    counted = bus.statistics()
    assert counted.queued == counted.sent + counted.pending + counted.dropped == len(frames)
    assert counted.sent == len(got) + counted.lost_by_faults + counted.held_by_faults + counted.late
    assert counted.faults_fired == len(bus.fired)


# --- bad scripts ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "sentence"),
    [
        ([], "a fault is an object with an action"),
        ({}, "action is missing; it is one of drop, delay"),
        ({"action": "explode"}, "action is 'explode'; it is one of drop, delay"),
        ({"action": "drop", "nht": 3}, "no field 'nht'; the fields are action, can_id"),
        ({"action": "drop", "nth": 0}, "nth is 0; expected a whole number from 1"),
        ({"action": "drop", "nth": 1.5}, "nth is 1.5; expected a whole number"),
        ({"action": "drop", "every": True}, "every is True; expected a whole number"),
        ({"action": "drop", "limit": "2"}, "limit is '2'; expected a whole number"),
        ({"action": "drop", "node": 128}, "node is 128; expected a whole number from 1 to"),
        ({"action": "drop", "can_id": 0x800}, "can_id is 2048; expected a whole number from 0 to 0x7ff"),
        ({"action": "drop", "can_id": "xyz"}, "can_id is 'xyz'; expected a number, or hexadecimal"),
        ({"action": "drop", "extended": True}, "can_id is missing"),
        ({"action": "drop", "extended": 1, "can_id": 1}, "extended is 1; expected true or false"),
        ({"action": "drop", "service": "sdo"}, "service is 'sdo'; expected one of"),
        ({"action": "drop", "service": 5}, "service is 5; expected one of"),
        ({"action": "drop", "sender": 5}, "sender is 5; expected the name of a station"),
        ({"action": "drop", "probability": 1.1}, "probability is 1.1; expected a number from 0 to 1"),
        ({"action": "drop", "probability": "1"}, "probability is '1'; expected a number from 0 to 1"),
        ({"action": "drop", "from_s": -1}, "from_s is -1; expected seconds"),
        ({"action": "drop", "from_s": 2, "until_s": 2}, "until_s is 2; expected seconds later than from_s"),
        ({"action": "delay"}, "delay_s is missing"),
        ({"action": "delay", "delay_s": "1"}, "delay_s is '1'; expected seconds"),
        ({"action": "drop", "delay_s": 1}, "delay_s means nothing here; it belongs to delay"),
        ({"action": "corrupt"}, "xor is missing"),
        ({"action": "corrupt", "xor": "00"}, "xor is .*; expected 1 to 8 bytes that are not all zero"),
        ({"action": "corrupt", "xor": "0g"}, "xor is '0g'; expected bytes in hexadecimal"),
        ({"action": "corrupt", "xor": 5}, "xor is 5; expected 1 to 8 bytes"),
        ({"action": "inject"}, "frame is missing"),
        ({"action": "inject", "frame": 5}, "frame is 5; expected a classic CAN frame"),
        ({"action": "inject", "frame": {}}, "frame.can_id is missing"),
        ({"action": "inject", "frame": {"id": 1}}, "frame has no field 'id'; its fields are can_id"),
        ({"action": "inject", "frame": {"can_id": 1.5}}, "frame.can_id is 1.5; expected a number"),
        ({"action": "inject", "frame": {"can_id": "q"}}, "frame.can_id is 'q'; expected a number, or hexadecimal"),
        ({"action": "inject", "frame": {"can_id": 1, "data": [1]}}, "frame.data is .1.; expected bytes in hex"),
        ({"action": "inject", "frame": {"can_id": 0x800}}, "frame is no CAN frame: CAN-ID 0x800"),
        ({"action": "inject", "frame": {"can_id": 1, "dlc": "2"}}, "frame is no CAN frame"),
    ],
)
def test_a_bad_script_is_told_what_is_expected(plain, sentence):
    with pytest.raises(ValueError, match=sentence) as caught:
        Fault.from_dict(plain)
    assert str(caught.value).startswith(("fault", "a fault"))


def test_hexadecimal_text_is_taken():
    plain = {"action": "inject", "can_id": "0x585", "frame": {"can_id": "80", "data": "01 02"}}
    assert Fault.from_dict(plain) == Fault("inject", can_id=0x585, frame=Frame(0x80, b"\1\2"))


def test_a_bus_takes_faults_only():
    with pytest.raises(ValueError, match=r"fault 0 of the script is \{.*not a Fault: see Fault.from_dict"):
        SimBus(faults=[{"action": "drop"}])


def test_every_action_and_field_is_documented():
    assert set(ACTIONS) == {"drop", "delay", "duplicate", "corrupt", "replace", "reorder", "inject", "error"}
    assert all(field.name in Fault.__doc__ or field.name in " ".join(ACTIONS.values()) for field in fields(Fault))
    assert "sdo response" in SERVICES and "tpdo4" in SERVICES and "unknown" not in SERVICES
