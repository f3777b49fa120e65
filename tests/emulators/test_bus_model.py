"""Is the bus that our emulators share a CAN bus?"""

import threading
import time

import pytest
from emulators.bus_model import BusModel
from emulators.machine_tap import MachineTap

from opendiag.frame import Frame
from opendiag.simulate.devices import make_device


class Node:
    """A tap that keeps what it is told."""

    def __init__(self, bus, name, up=True, **settings):
        self.heard, self.errors, self.done = [], [], []
        self.tap = bus.attach(name, self.heard.append, self.errors.append, **settings)
        if up:
            bus.start(self.tap)

    def send(self, *can_ids, **settings):
        for can_id in can_ids:
            self.tap.send(Frame(can_id, **settings), self.done.append)

    def ids(self):
        return [frame.can_id for frame in self.heard]


@pytest.fixture
def bus():
    return BusModel()


def wait_for(condition):
    until = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < until, "it did not happen within 5 s"
        time.sleep(0.002)


# --- who hears what


def test_everybody_else_hears_a_frame_once(bus):
    one, two, three = (Node(bus, name) for name in "abc")
    one.send(5, data=b"\x55\xaa")
    assert (one.heard, two.heard, three.heard) == ([], [Frame(5, b"\x55\xaa")], [Frame(5, b"\x55\xaa")])
    assert one.done == [True]
    assert bus.sent == [("a", Frame(5, b"\x55\xaa"))]


def test_with_loopback_the_sender_hears_itself_too(bus):
    one, two = Node(bus, "a", loopback=True), Node(bus, "b")
    one.send(5)
    two.send(6)
    assert (one.ids(), two.ids()) == ([5, 6], [5])


def test_with_loopback_nobody_else_is_needed(bus):
    one = Node(bus, "a", loopback=True)
    one.send(5)
    assert (one.ids(), one.done, one.errors) == ([5], [True], [])


def test_silent_loopback_drives_nothing(bus):
    one, two = Node(bus, "a", loopback=True, listen_only=True), Node(bus, "b")
    one.send(5)
    assert (one.ids(), two.heard, one.done) == ([5], [], [True])


def test_a_tap_that_is_down_hears_and_sends_nothing(bus):
    one, two = Node(bus, "a"), Node(bus, "b", up=False)
    two.send(5)
    assert (one.heard, two.done) == ([], [False])
    one.send(6)
    assert (two.heard, one.done) == ([], []), "nobody acknowledged it"


def test_listener_is_the_usual_peer(bus):
    peer, heard = bus.listener()
    one = Node(bus, "a")
    one.send(1)
    peer.send(Frame(2))
    assert (heard, one.heard) == ([Frame(1)], [Frame(2)])


# --- acknowledge


def test_alone_nothing_is_acknowledged_until_somebody_comes(bus):
    one = Node(bus, "a")
    one.send(5, 6)
    assert (one.done, bus.sent, one.tap.state, one.tap.tx_errors) == ([], [], "passive", 128)
    assert one.errors[:2] == ["ack", "passive"]
    two = Node(bus, "b")
    assert (two.ids(), one.done) == ([5, 6], [True, True])
    assert one.tap.tx_errors == 126


def test_listen_only_hears_but_does_not_acknowledge_and_does_not_send(bus):
    one, quiet = Node(bus, "a"), Node(bus, "b", listen_only=True)
    one.send(5)
    assert (one.done, quiet.heard) == ([], []), "a frame without an acknowledge is no frame"
    other = Node(bus, "c")
    assert (one.done, quiet.ids(), other.ids()) == ([True], [5], [5])
    quiet.send(6)
    assert (quiet.done, one.heard) == ([False], [])


def test_one_shot_gives_up_at_the_first_failure(bus):
    one = Node(bus, "a", one_shot=True)
    one.send(5, 6)
    assert (one.done, one.tap.waiting, one.tap.tx_errors) == ([False, False], [], 16)
    two = Node(bus, "b")
    assert two.heard == []


def test_one_shot_into_bus_off_tells_each_frame_once(bus):
    one = Node(bus, "a", one_shot=True)
    one.send(*range(40))
    assert one.tap.bus_off
    assert one.done == [False] * 40
    assert [error for error in one.errors if error not in ("ack",)] == ["warning", "passive", "bus-off"]


def test_stopping_gives_up_what_waits(bus):
    one = Node(bus, "a")
    one.send(5, 6)
    bus.stop(one.tap)
    assert one.done == [False, False]
    two = Node(bus, "b")
    assert two.heard == []


# --- rates


def test_another_bit_rate_destroys_frames_and_both_notice(bus):
    one, wrong = Node(bus, "a"), Node(bus, "b", bit_rate=250_000)
    one.send(5)
    assert (wrong.heard, one.done, one.tap.state) == ([], [False], "bus-off")
    assert wrong.errors == ["mismatch"]
    assert wrong.tap.rx_errors == 8
    assert one.errors == ["mismatch", "bus-off"]


def test_a_quiet_listener_at_another_rate_disturbs_nobody(bus):
    one, two = Node(bus, "a"), Node(bus, "b")
    wrong = Node(bus, "c", bit_rate=250_000, listen_only=True)
    one.send(5)
    assert (two.ids(), one.done, wrong.heard, wrong.errors, wrong.tap.rx_errors) == ([5], [True], [], ["mismatch"], 0)


def test_the_data_bit_rate_counts_where_frames_switch_to_it(bus):
    one, two = Node(bus, "a", data_bit_rate=2_000_000), Node(bus, "b", data_bit_rate=4_000_000)
    one.send(5, fd=True)
    assert two.ids() == [5]
    one.send(6, fd=True, brs=True)
    assert (two.ids(), one.tap.bus_off) == ([5], True)


def test_back_from_bus_off(bus):
    one, two = Node(bus, "a"), Node(bus, "b", bit_rate=250_000)
    one.send(5)
    one.send(6)
    assert one.done == [False, False]
    two.tap.bit_rate = 500_000
    bus.recover(one.tap)
    one.send(7)
    assert (two.ids(), one.tap.state, one.errors[-1]) == ([7], "active", "active")


def test_starting_again_clears_the_counters(bus):
    one = Node(bus, "a")
    one.send(5)
    assert one.tap.state == "passive"
    bus.stop(one.tap)
    bus.start(one.tap)
    assert (one.tap.tx_errors, one.tap.state) == (0, "active")


# --- arbitration and order


def test_the_lowest_identifier_wins_and_each_tap_keeps_its_order(bus):
    one, two, three = (Node(bus, name) for name in "abc")
    bus.hold()
    one.send(0x300, 0x100)
    two.send(0x200, 0x400)
    assert three.heard == []
    bus.release()
    assert three.ids() == [0x200, 0x300, 0x100, 0x400]


def test_standard_before_extended_and_data_before_remote(bus):
    nodes = [Node(bus, name) for name in "abcd"]
    last = Node(bus, "e")
    bus.hold()
    nodes[0].send(0x123 << 18, extended=True, remote=True)
    nodes[1].send(0x123 << 18, extended=True)
    nodes[2].send(0x123, remote=True)
    nodes[3].send(0x123)
    bus.release()
    assert [(frame.extended, frame.remote) for frame in last.heard] == [
        (False, False),
        (False, True),
        (True, False),
        (True, True),
    ]


def test_an_answer_from_within_a_callback_comes_after_the_question(bus):
    one, other = Node(bus, "a"), Node(bus, "b")
    answering = bus.attach("c", lambda frame: answering.send(Frame(frame.can_id + 1)))
    bus.start(answering)
    one.send(0x10)
    assert other.ids() == [0x10, 0x11]
    assert one.ids() == [0x11]


def test_threads_that_send_at_once_lose_nothing(bus):
    nodes = [Node(bus, name) for name in "abcd"]
    ear = Node(bus, "ear")

    def send(number, node):
        for count in range(200):
            node.send(number, data=count.to_bytes(2, "big"))

    threads = [threading.Thread(target=send, args=item) for item in enumerate(nodes)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for number in range(4):
        assert [int.from_bytes(frame.data, "big") for frame in ear.heard if frame.can_id == number] == list(range(200))


# --- faults and time


def test_loss_is_a_part_of_the_frames_of_each_receiver():
    bus = BusModel(loss=0.5, seed=3)
    one, two, three = (Node(bus, name) for name in "abc")
    one.send(*range(1000))
    assert one.done == [True] * 1000
    assert 400 < len(two.heard) < 600
    assert 400 < len(three.heard) < 600
    assert two.ids() != three.ids()


def test_latency_and_jitter_delay_frames_but_keep_their_order():
    bus = BusModel(latency_s=0.02, jitter_s=0.02, seed=1)
    one, two = Node(bus, "a"), Node(bus, "b")
    began = time.monotonic()
    one.send(*range(50))
    assert two.heard == []
    wait_for(lambda: len(two.heard) == 50)
    assert 0.02 <= time.monotonic() - began < 2
    assert two.ids() == list(range(50))


def test_a_tap_that_went_down_gets_no_late_frames():
    bus = BusModel(latency_s=0.02)
    one, two, three = (Node(bus, name) for name in "abc")
    one.send(5)
    bus.detach(two.tap)
    wait_for(lambda: three.ids() == [5])
    assert two.heard == []


def test_a_simulated_device_answers_on_it(bus):
    peer, heard = bus.listener()
    device = MachineTap(bus, make_device("stepim"))
    try:
        wait_for(lambda: heard)  # its boot-up
        node = heard[0].can_id - 0x700
        peer.send(Frame(0x600 + node, bytes.fromhex("4000100000000000")))
        wait_for(lambda: any(frame.can_id == 0x580 + node for frame in heard))
        answer = next(frame for frame in heard if frame.can_id == 0x580 + node)
        assert answer.data[:4] == bytes.fromhex("43001000")
    finally:
        device.close()
