"""PDOs of a simulated node: when they are sent, what they write, and the rules for changing them."""

import itertools

import pytest

from opendiag.dictionary.library import load
from opendiag.frame import Frame
from opendiag.simulate.node import SimNode

NODE = 101
DICTIONARY = load("stepim")
OFF = 1 << 31
WORD, POSITION, VELOCITY = 0x6041_0010, 0x6064_0020, 0x606C_0020


class Bench:
    """A plain node with the objects of a drive: nothing moves by itself, so every PDO has a reason."""

    def __init__(self):
        self.node, self.now, self.sent = SimNode(DICTIONARY, NODE), 0.0, []
        self.node.store.set(0x1017, 0, 0)
        self.run(0.0)

    def run(self, seconds):
        end = self.now + seconds
        while (due := self.node.deadline()) is not None and due <= end:
            self.now = max(self.now, due)
            self.node.tick(self.now)
            self._collect()
        self.now = end
        self.node.tick(end)
        self._collect()

    def _collect(self):
        self.sent += [(round(self.now, 6), f.can_id, f.data.hex()) for f in self.node.frames_to_send()]

    def send(self, can_id, data=b"", **more):
        before = len(self.sent)
        self.node.receive(Frame(can_id, data, **more), self.now)
        self._collect()
        return self.sent[before:]

    def write(self, index, sub, value, width=4):
        request = bytes([0x23 | (4 - width) << 2, index & 0xFF, index >> 8, sub]) + value.to_bytes(4, "little")
        data = next(bytes.fromhex(d) for _, c, d in self.send(0x600 + NODE, request) if c == 0x580 + NODE)
        return f"{int.from_bytes(data[4:], 'little'):08X}" if data[0] == 0x80 else "ok"

    def start(self):
        """OPERATIONAL, and the first round of event-driven PDOs forgotten."""
        self.send(0, bytes([1, NODE]))
        self.run(1.0)
        self.sent.clear()

    def remap(self, communication, entries, kind, can_id):
        mapping = communication + 0x200
        steps = [(communication, 1, OFF | can_id, 4), (mapping, 0, 0, 1)]
        steps += [(mapping, number, entry, 4) for number, entry in enumerate(entries, 1)]
        steps += [(mapping, 0, len(entries), 1), (communication, 2, kind, 1), (communication, 1, can_id, 4)]
        assert [self.write(*step) for step in steps] == ["ok"] * len(steps)


@pytest.fixture
def bench():
    return Bench()


def test_event_driven_pdos_are_sent_at_the_start_and_honour_sub_0(bench):
    assert bench.sent == [(0.0, 0x765, "00")]
    bench.send(0, bytes([1, NODE]))
    first = {can_id: len(data) // 2 for _, can_id, data in bench.sent[1:]}
    assert first == {0x1E5: 3, 0x2E5: 8, 0x3E5: 8, 0x4E5: 4}


def test_a_change_is_sent_when_the_inhibit_time_allows_it(bench):
    bench.start()
    bench.node.store.set(0x6041, 0, 0x0237)
    bench.run(0.02)
    bench.node.store.set(0x6041, 0, 0x0238)
    bench.run(0.5)
    assert [frame[1:] for frame in bench.sent] == [(0x1E5, "370200"), (0x1E5, "380200")]
    assert bench.sent[1][0] - bench.sent[0][0] == pytest.approx(0.2, abs=1e-6)


def test_a_change_by_sdo_is_sent_at_once(bench):
    bench.remap(0x1803, [0x6081_0020], 255, 0x4E5)
    bench.start()
    assert bench.write(0x6081, 0, 0x55) == "ok"
    assert bench.sent[-1][1:] == (0x4E5, "55000000")


def test_the_event_timer_repeats_without_a_change(bench):
    assert bench.write(0x1800, 3, 0, 2) == "06090030", "the PDO is on"
    for step in ((1, OFF | 0x1E5, 4), (3, 0, 2), (5, 50, 2), (1, 0x1E5, 4)):
        assert bench.write(0x1800, *step) == "ok"
    bench.start()
    bench.run(0.2)
    times = [time for time, can_id, _ in bench.sent if can_id == 0x1E5]
    assert [round(b - a, 6) for a, b in itertools.pairwise(times)] == [0.05, 0.05, 0.05]


@pytest.mark.parametrize(("kind", "sent"), [(1, [0, 1, 2, 3, 4, 5]), (2, [1, 3, 5]), (240, [])])
def test_synchronous_pdos(bench, kind, sent):
    bench.write(0x1800, 2, kind, 1)
    bench.start()
    came = [i for i in range(6) if any(can_id == 0x1E5 for _, can_id, _ in bench.send(0x80))]
    assert came == sent


def test_type_0_waits_for_a_change_and_a_sync(bench):
    bench.write(0x1800, 2, 0, 1)
    bench.start()
    assert len(bench.send(0x80)) == 1
    assert bench.send(0x80) == []
    bench.node.store.set(0x6041, 0, 1)
    bench.run(0.5)
    assert bench.sent[1:] == []
    assert [frame[1:] for frame in bench.send(0x80)] == [(0x1E5, "010000")]


def test_a_sync_elsewhere_is_none(bench):
    bench.write(0x1800, 2, 1, 1)
    bench.write(0x1005, 0, 0x81)
    bench.start()
    assert bench.send(0x80) == [] and bench.send(0x81, extended=True) == []
    assert len(bench.send(0x81)) == 1


def test_received_synchronous_values_act_at_the_next_sync(bench):
    bench.start()
    bench.send(0x365, bytes.fromhex("0100000002000000"))
    assert bench.node.store.get(0x607A, 0) == 0
    bench.send(0x80)
    assert (bench.node.store.get(0x607A, 0), bench.node.store.get(0x6081, 0)) == (1, 2)


def test_received_values_of_type_255_act_at_once(bench):
    bench.write(0x1401, 2, 255, 1)
    bench.start()
    bench.send(0x365, bytes.fromhex("ffffffff02000000"))
    assert bench.node.store.get(0x607A, 0) == -1


def test_a_value_that_is_refused_keeps_the_old_one(bench):
    bench.write(0x1400, 2, 255, 1)
    bench.start()
    bench.send(0x265, bytes.fromhex("060063"))
    assert (bench.node.store.get(0x6040, 0), bench.node.store.get(0x6060, 0)) == (6, 4)


def test_too_short_a_pdo_is_an_emergency(bench):
    bench.start()
    frames = bench.send(0x265, b"\x06")
    assert [(can_id, data[:6]) for _, can_id, data in frames] == [(0x0E5, "108211")]


@pytest.mark.parametrize("command", [2, 0x80])
def test_outside_of_operational_there_are_no_pdos(bench, command):
    bench.write(0x1401, 2, 255, 1)
    bench.start()
    bench.send(0x365, bytes.fromhex("0500000002000000"))
    bench.send(0, bytes([command, NODE]))
    bench.node.store.set(0x6041, 0, 1)
    bench.run(1.0)
    bench.send(0x365, bytes.fromhex("0900000002000000"))
    bench.send(0x80)
    assert [can_id for _, can_id, _ in bench.sent if can_id in (0x1E5, 0x2E5)] == []
    assert bench.node.store.get(0x607A, 0) == 5


def test_the_remap_sequence(bench):
    bench.remap(0x1800, [VELOCITY, WORD], 1, 0x1E6)
    bench.start()
    bench.node.store.set(0x606C, 0, -2)
    assert bench.send(0x80)[0][1:] == (0x1E6, "feffffff0000")


def test_resets_bring_the_mapping_back(bench):
    bench.remap(0x1800, [VELOCITY], 1, 0x1E6)
    bench.send(0, bytes([0x82, NODE]))
    bench.send(0, bytes([1, NODE]))
    assert (0x1E5, "000000") in [frame[1:] for frame in bench.sent]


@pytest.mark.parametrize(
    ("index", "sub", "value", "width", "code"),
    [
        (0x1800, 1, 0x1E6, 4, "06090030"),  # another identifier while the PDO is valid
        (0x1800, 1, OFF | 0x1E6, 4, "ok"),
        (0x1800, 2, 241, 1, "06090030"),
        (0x1400, 2, 252, 1, "06090030"),
        (0x1800, 2, 254, 1, "ok"),
        (0x1A00, 0, 0, 1, "06010000"),  # the PDO is valid
        (0x1A00, 1, WORD, 4, "06010000"),  # and mapped
    ],
)
def test_what_a_valid_pdo_allows(bench, index, sub, value, width, code):
    before = bench.node.store.values[index, sub]
    assert bench.write(index, sub, value, width) == code
    assert (bench.node.store.values[index, sub] == before) == (code != "ok")


@pytest.mark.parametrize(
    ("entry", "code"),
    [
        (POSITION, "ok"),
        (0x6064_0010, "06040041"),  # not its width
        (0x1008_0020, "06040041"),  # cannot be mapped
        (0x6FFF_0010, "06020000"),
        (0x6041_0110, "06090011"),
        (0x0005_0008, "06020000"),  # dummies are for received PDOs
        (0, "ok"),
    ],
)
def test_mapping_entries(bench, entry, code):
    assert bench.write(0x1800, 1, OFF | 0x1E5) == "ok"
    assert bench.write(0x1A00, 1, entry) == "06010000", "sub 0 comes first"
    assert bench.write(0x1A00, 0, 0, 1) == "ok"
    assert bench.write(0x1A00, 1, entry) == code


def test_directions(bench):
    for communication, entry, code in ((0x1400, WORD, "06040041"), (0x1400, 0x0005_0008, "ok")):
        bench.write(communication, 1, OFF | 0x265)
        bench.write(communication + 0x200, 0, 0, 1)
        assert bench.write(communication + 0x200, 1, entry) == code


def test_the_length_of_a_mapping(bench):
    bench.write(0x1800, 1, OFF | 0x1E5)
    bench.write(0x1A00, 0, 0, 1)
    for slot in (1, 2, 3):
        bench.write(0x1A00, slot, POSITION)
    assert bench.write(0x1A00, 0, 3, 1) == "06040042"
    assert bench.write(0x1A00, 0, 5, 1) == "06040042"
    assert bench.write(0x1A00, 0, 2, 1) == "ok"


@pytest.mark.parametrize("can_id", [0x000, 0x07F, 0x601, 0x581, 0x701])
def test_restricted_identifiers(bench, can_id):
    assert bench.write(0x1800, 1, OFF | 0x1E5) == "ok"
    assert bench.write(0x1800, 1, can_id) in ("06090030", "06090032")
    assert bench.write(0x1800, 1, 0x1E6) == "ok"
