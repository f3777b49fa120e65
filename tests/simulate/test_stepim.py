"""The simulated StepIM: who it is, what it starts with, and the habits that are known of the real one."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from opendiag.dictionary.library import load
from opendiag.frame import Frame
from opendiag.services.nmt import NmtChanged
from opendiag.simulate.stepim import StepIM

DICTIONARY = load("stepim")
NODE = 101


def stepim(**more):
    node = StepIM(dictionary=DICTIONARY, **more)
    node.tick(0.0)
    return node


def run(node, begin, end):
    """Frames until ``end`` with their times."""
    sent = []
    now = begin
    while (due := node.deadline()) is not None and due <= end:
        now = max(now, due)
        node.tick(now)
        sent += [(round(now, 6), frame) for frame in node.frames_to_send()]
    node.tick(end)
    return sent + [(end, frame) for frame in node.frames_to_send()]


def exchange(node, requests, now=0.1):
    """Data of the answers to one request after the other."""
    answers = []
    for request in requests:
        node.receive(Frame(0x665, bytes.fromhex(request)), now)
        answers += [frame.data.hex() for frame in node.frames_to_send() if frame.can_id == 0x5E5]
    return answers


def number(node, index, sub=0):
    raw = node.store.read(index, sub, 0.1)
    return int.from_bytes(raw, "little")


def test_it_boots_as_node_101_and_beats_every_2_s():
    node = StepIM(dictionary=DICTIONARY)
    sent = run(node, 0.0, 4.5)
    assert [(time, frame.can_id, frame.data.hex()) for time, frame in sent] == [
        (0.0, 0x765, "00"),
        (2.0, 0x765, "7f"),
        (4.0, 0x765, "7f"),
    ]
    assert [type(event) for event in node.events()] == [NmtChanged]


def test_identity():
    node = stepim()
    assert [number(node, 0x1018, sub) for sub in (1, 2, 3)] == [0x2E1, 0xA5A5, 0]
    assert number(node, 0x1018, 4) == node.serial != StepIM(dictionary=DICTIONARY, seed=1).serial
    assert number(node, 0x1000) == 0x0002_0192
    assert number(node, 0x6502) == 0b1110_1101


def test_the_name_comes_in_segments():
    answers = exchange(stepim(), ["4008100000000000", "6000000000000000"])
    assert answers[0] == "4108100006000000"
    assert bytes.fromhex(answers[1])[1:7] == b"stepIM"


def test_no_text_is_a_number_by_accident():
    node = stepim()
    texts = {node.store.get(index, sub) for (index, sub), v in node.store.variables.items() if v.data_type == 9}
    assert not any(isinstance(text, str) and text.startswith("0x") for text in texts)


def test_factory_settings():
    node = stepim()
    assert (number(node, 0x6060), number(node, 0x6061), number(node, 0x1017)) == (4, 4, 2000)
    assert [number(node, 0x1800 + k, 1) for k in range(5)] == [0x1E5, 0x2E5, 0x3E5, 0x4E5, 0x480]
    assert [number(node, 0x1400 + k, 2) for k in range(4)] == [1, 1, 1, 255]
    assert (number(node, 0x1800, 3), number(node, 0x1A03)) == (2000, 1)
    assert (number(node, 0x2F1B), number(node, 0x20F1)) == (101, 4096)


def test_another_node_id_moves_its_identifiers():
    node = StepIM(7, dictionary=DICTIONARY)
    node.tick(0.0)
    assert [frame.can_id for frame in node.frames_to_send()] == [0x707]
    assert (number(node, 0x1014), number(node, 0x1800, 1), number(node, 0x2F1B)) == (0x87, 0x187, 7)


@pytest.mark.parametrize("seed", range(5))
def test_saving_takes_its_time_and_answers_at_the_end(seed):
    node = stepim(seed=seed)
    node.frames_to_send()
    node.receive(Frame(0x665, bytes.fromhex("2310100173617665")), 1.0)
    sent = [(time, f.data.hex()) for time, f in run(node, 1.0, 2.5) if f.can_id == 0x5E5]
    assert sent == [] and node.store.read(0x2F21, 0, 2.5) == b"\1\0"
    sent = [(time, f.data.hex()) for time, f in run(node, 2.5, 6.0) if f.can_id == 0x5E5]
    assert [data for _, data in sent] == ["6010100100000000"]
    assert 4.0 <= sent[0][0] <= 4.5
    assert node.store.read(0x2F21, 0, 6.0) == b"\0\0"


def test_a_wrong_signature_is_refused_at_once():
    answers = exchange(stepim(), ["2310100173617664", "2311100173617665"])
    assert answers == ["8010100120000008", "8011100120000008"]


def test_saved_values_survive_and_load_undoes_them():
    node = stepim()
    node.store.set(0x6081, 0, 777)
    node.store.write(0x1010, 1, b"save", 0.1)
    node.store.set(0x6081, 0, 5)
    node.reset(5.0)
    assert number(node, 0x6081) == 777
    node.store.write(0x1011, 1, b"load", 5.0)
    assert number(node, 0x6081) == 777
    node.reset(5.0)
    assert number(node, 0x6081) == 10_000


def test_measurements_at_rest():
    node = stepim()
    for step in range(50):
        now = 0.1 + step * 0.003
        assert 47_800 < int.from_bytes(node.store.read(0x6079, 0, now), "little") < 48_200
        assert abs(int.from_bytes(node.store.read(0x6078, 0, now), "little", signed=True)) < 50
        assert int.from_bytes(node.store.read(0x2044, 0, now), "little") in range(25, 30)
        assert node.store.read(0x6064, 0, now) == bytes(4)


def test_the_statusword_of_the_real_drive():
    """A capture of a real one shows 6041h = 0227h while it is enabled and moves."""
    node = stepim()
    requests = ["2f60600003000000", "23ff600010270000", "2b40600006000000", "2b4060000f000000"]
    assert len(exchange(node, requests)) == 4
    run(node, 0.1, 0.15)
    assert exchange(node, ["4041600000000000"], 0.15)[0][:12] == "4b4160002702"


def test_power_off_and_on():
    node = stepim()
    node.motor.position = 3.25
    node.power_off()
    assert node.deadline() is None and run(node, 0.0, 3.0) == []
    node.power_on(3.0)
    assert [(f.can_id, f.data) for _, f in run(node, 3.0, 3.1)] == [(0x765, b"\0")]
    assert int.from_bytes(node.store.read(0x6064, 0, 3.1), "little") == 1024


def test_position_counts_on_from_the_other_end():
    node = stepim()
    node.motor.position = (2**31 + 5) / 4096
    assert int.from_bytes(node.store.read(0x6064, 0, 0.1), "little", signed=True) == -(2**31) + 5


OBJECTS = sorted(StepIM(dictionary=DICTIONARY).store.variables)
ids = st.sampled_from([0, 0x80, 0xE5, 0x265, 0x365, 0x465, 0x665, 0x701, 0x765]) | st.integers(0, 0x7FF)
writes = st.builds(
    lambda key, size, value: (0x665, bytes([size, key[0] & 0xFF, key[0] >> 8, key[1]]) + value),
    st.sampled_from(OBJECTS),
    st.sampled_from([0x23, 0x2B, 0x2F, 0x40, 0x21, 0xC2, 0xA0]),
    st.sampled_from([bytes(4), b"save", b"load", b"\xff" * 4]) | st.binary(min_size=4, max_size=4),
)
frames = writes | st.tuples(ids, st.binary(max_size=8)) | st.just((0, b"\x01\x65"))


@settings(max_examples=60)
@given(st.lists(st.tuples(frames, st.sampled_from([0.0, 0.001, 0.05])), max_size=40))
def test_no_frame_breaks_it(plan):
    node, now = stepim(), 0.0
    for (can_id, data), pause in plan:
        node.receive(Frame(can_id, data), now)
        node.frames_to_send()
        assert not [event for event in node.events() if type(event).__name__ == "StoreFailed"]
        run(node, now, now + pause)
        now += pause
        due = node.deadline()
        assert due is None or due > now
    assert abs(node.motor.velocity) < 120 and 0 <= node.motor.bus <= 60
