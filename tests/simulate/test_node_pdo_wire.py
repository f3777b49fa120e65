"""PDOs of whole nodes on the simulated bus: remote frames, remapping by SDO, errors as EMCY, and node to node."""

import pytest
from pdo_bench import DICTIONARY, NO_RTR, OFF

from opendiag.frame import Frame
from opendiag.simulate.bus import SimBus
from opendiag.simulate.node import SimNode
from opendiag.wire.pdo import DAM_MPDO, Mpdo

A, B = 5, 6


class Wire:
    """Two nodes and somebody who sends frames; ``run`` gives what was heard as (CAN-ID, data)."""

    def __init__(self):
        self.bus = SimBus(1_000_000)
        self.nodes = {number: SimNode(DICTIONARY, number) for number in (A, B)}
        for number, node in self.nodes.items():
            self.bus.attach(node, f"node {number}")
        self.master = self.bus.attach(name="master")
        self.run(0.01)

    def run(self, seconds=0.005):
        self.bus.run_until(self.bus.now + seconds)
        return [(frame.can_id, frame.data.hex()) for frame in self.master.receive()]

    def send(self, can_id, data="", **more):
        self.master.send(Frame(can_id, bytes.fromhex(data), **more))
        return self.run()

    def write(self, node, index, subindex, value):
        """By expedited SDO; gives the abort code or "ok"."""
        size = self.nodes[node].store.width(index, subindex)
        command = 0x23 | (4 - size) << 2
        data = bytes([command, index & 0xFF, index >> 8, subindex]) + value.to_bytes(4, "little")
        answers = [bytes.fromhex(d) for can_id, d in self.send(0x600 + node, data.hex()) if can_id == 0x580 + node]
        return f"{int.from_bytes(answers[0][4:], 'little'):08X}" if answers[0][0] == 0x80 else "ok"

    def remap(self, node, at, can_id, kind, entries, **more):
        steps = [(at, 1, can_id | OFF), (at + 0x200, 0, 0)]
        steps += [(at + 0x200, slot, entry) for slot, entry in enumerate(entries, 1)]
        steps += [(at + 0x200, 0, len(entries)), (at, 2, kind)]
        steps += [(at, {"inhibit": 3, "event": 5, "start": 6}[name], value) for name, value in more.items()]
        steps += [(at, 1, can_id)]
        assert [self.write(node, *step) for step in steps] == ["ok"] * len(steps)

    def start(self):
        return self.send(0, "0100")


@pytest.fixture
def wire():
    return Wire()


def test_a_remote_frame_gets_the_values_of_now(wire):
    wire.remap(A, 0x1800, 0x185, 253, [0x2005_0008, 0x2003_0010])
    assert wire.start() == []
    wire.nodes[A].store.set(0x2005, 0, 7)
    assert wire.send(0x185, remote=True) == [(0x185, "070000")]
    assert wire.send(0x186, remote=True) == []


def test_a_remote_frame_gets_the_values_of_the_last_sync(wire):
    wire.remap(A, 0x1800, 0x185, 252, [0x2005_0008])
    wire.start()
    assert wire.send(0x185, remote=True) == []
    assert wire.send(0x80) == []
    wire.nodes[A].store.set(0x2005, 0, 7)
    assert wire.send(0x185, remote=True) == [(0x185, "00")]
    wire.send(0x80)
    assert wire.send(0x185, remote=True) == [(0x185, "07")]


def test_bit_30_forbids_it(wire):
    wire.remap(A, 0x1800, 0x185 | NO_RTR, 253, [0x2005_0008])
    wire.start()
    assert wire.send(0x185, remote=True) == []


def test_one_node_s_tpdo_is_another_one_s_rpdo(wire):
    """Bits, a whole byte that is not on a byte, and a dummy where the receiver has no use for a value."""
    sent = [0x2001_0001, 0x2005_0008, 0x2003_0010, 0x2008_0020]
    wire.remap(A, 0x1800, 0x185, 1, sent)
    wire.remap(B, 0x1400, 0x185, 255, [0x2001_0001, 0x0005_0008, 0x2003_0010, 0x2008_0020])
    wire.start()
    for index, value in ((0x2001, True), (0x2005, 200), (0x2003, -300), (0x2008, -0.5)):
        wire.nodes[A].store.set(index, 0, value)
    assert wire.send(0x80) == [(0x185, "91a9fd0100007e01")]
    values = [wire.nodes[B].store.get(index, 0) for index in (0x2001, 0x2005, 0x2003, 0x2008)]
    assert values == [True, 0, -300, -0.5]


def test_received_values_go_on_with_the_next_sync_through_two_nodes(wire):
    """B takes what A sent at the SYNC before."""
    wire.remap(A, 0x1800, 0x185, 1, [0x2005_0008])
    wire.remap(B, 0x1400, 0x185, 1, [0x2005_0008])
    wire.start()
    wire.nodes[A].store.set(0x2005, 0, 7)
    held = []
    for _ in range(2):
        wire.send(0x80)
        held.append(wire.nodes[B].store.get(0x2005, 0))
    assert held == [0, 7]


def test_the_sync_counter_begins_at_the_start_value(wire):
    assert [wire.write(node, 0x1019, 0, 4) for node in (A, B)] == ["ok", "ok"]
    wire.remap(A, 0x1800, 0x185, 1, [0x2005_0008], start=3)
    wire.start()
    assert [wire.send(0x80, f"{counter:02x}") for counter in (1, 2, 3, 4)] == [[], [], [(0x185, "00")], [(0x185, "00")]]


def test_a_device_without_a_counter_does_not_wait_for_one(wire):
    """1019h is 0: the byte is one too many (8240h), and the SYNC counts."""
    wire.remap(A, 0x1800, 0x185, 1, [0x2005_0008], start=3)
    wire.start()
    assert (0x185, "00") in wire.send(0x80, "01")


@pytest.mark.parametrize(
    ("data", "emcy", "value"),
    [("07", "1082110100000000", 0), ("07000055", "2082110100000000", 7)],
    ids=["8210h", "8220h"],
)
def test_a_wrong_length_is_an_emcy_once_until_it_is_right_again(wire, data, emcy, value):
    wire.remap(A, 0x1400, 0x205, 255, [0x2005_0008, 0x2003_0010])
    wire.start()
    assert wire.send(0x205, data) == [(0x85, emcy)]
    assert wire.nodes[A].store.get(0x2005, 0) == value
    assert wire.send(0x205, data) == []
    assert wire.send(0x205, "090000") == [(0x85, "0000000000000000")]
    assert wire.nodes[A].store.get(0x2005, 0) == 9


def test_an_rpdo_that_stays_away_is_8250h(wire):
    wire.remap(A, 0x1400, 0x205, 255, [0x2005_0008], event=100)
    wire.start()
    assert wire.run(1.0) == [], "the deadline begins with the first one"
    wire.send(0x205, "01")
    assert wire.run(0.09) == []
    assert wire.run(0.02) == [(0x85, "5082110100000000")]
    assert wire.run(1.0) == []
    assert wire.send(0x205, "01") == [(0x85, "0000000000000000")]


def test_a_multiplexed_pdo_without_a_destination_is_8230h(wire):
    for node, at in ((A, 0x1800), (B, 0x1400)):
        steps = [(at, 1, 0x1E0 | OFF), (at + 0x200, 0, DAM_MPDO), (at, 1, 0x1E0)]
        assert [wire.write(node, *step) for step in steps] == ["ok"] * 3
    wire.start()
    pdos = wire.nodes[A].pdos
    pdos.send_mpdo(1, Mpdo(B, True, 0x2005, 0, b"\7"), wire.bus.now)
    assert wire.run() == [(0x1E0, "8605200007000000")]
    assert wire.nodes[B].store.get(0x2005, 0) == 7
    pdos.send_mpdo(1, Mpdo(B, True, 0x3000, 0, b"\7"), wire.bus.now)
    assert wire.run() == [(0x1E0, "8600300007000000"), (0x86, "3082110100000000")]


@pytest.mark.parametrize(
    ("step", "code"),
    [
        ((0x1A00, 1, 0x2005_0008), "06010000"),  # the PDO is on
        ((0x1A00, 0, 0), "06010000"),
        ((0x1800, 1, 0x1E5), "06090030"),
        ((0x1800, 2, 245), "06090030"),
        ((0x1400, 2, 253), "06090030"),
    ],
)
def test_a_wrong_step_of_remapping_is_refused_and_the_pdo_goes_on(wire, step, code):
    wire.remap(A, 0x1800, 0x185, 253, [0x2005_0008])
    wire.start()
    assert wire.write(A, *step) == code
    assert wire.send(0x185, remote=True) == [(0x185, "00")]
