"""What must hold when callers and the bus do not behave: closing, interruptions, odd arguments, late readers."""

import io
import threading
import time

import can
import pytest

import opendiag
from opendiag.errors import (
    AdapterClosed,
    AdapterError,
    BadInterface,
    ObjectNotFound,
    SdoCancelled,
    SdoError,
    SdoProtocolError,
    SendFailed,
    UnknownDictionary,
    ValueRefused,
)
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.services.plans import SdoRead, Send, Sleep
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_quirks import SdoQuirks
from opendiag.simulate.bus import SimBus
from opendiag.simulate.node import SimNode
from opendiag.simulate.node_quirks import NodeQuirks
from opendiag.simulate.stepim import StepIM


@pytest.fixture
def bus():
    made = SimBus()
    made.attach(StepIM(), "motor")
    return made


@pytest.fixture
def network(bus):
    with opendiag.connect(bus, dictionaries={101: "stepim"}, clock=ManualClock()) as made:
        yield made


class Fake(can.BusABC):
    """A python-can bus that the test writes itself."""

    def __init__(self, send=None, messages=()):
        self.channel_info = "fake"
        self._sender = send
        self.messages = list(messages)
        self.down = threading.Event()
        super().__init__("fake")

    def send(self, msg, timeout=None):
        if self._sender is not None:
            self._sender(msg, self)

    def _recv_internal(self, timeout):
        if self.messages:
            return self.messages.pop(0), False
        time.sleep(min(timeout or 0, 0.01))
        return None, False


def message(can_id, data, at=None):
    return can.Message(
        arbitration_id=can_id, data=data, is_extended_id=False, timestamp=time.time() if at is None else at
    )


# --- closing and interruptions ---------------------------------------------------------------------------------------


def test_closing_in_mid_write_sends_the_device_an_abort(bus):
    spy = bus.attach(name="spy")
    network = opendiag.connect(bus, clock=ManualClock())
    pending = network[101].begin_download(0x1008, 0, bytes(1000))
    also = network[101].begin_upload(0x1000)
    network.close()
    aborts = [frame.data for frame in spy.receive() if frame.can_id == 0x665 and frame.data[0] == 0x80]
    assert aborts == [bytes.fromhex("8008100000000008")]
    for transfer in (pending, also):
        assert transfer.done
        with pytest.raises(SdoCancelled):
            transfer.result()


def test_a_transfer_that_was_interrupted_while_it_began_is_never_executed(network, monkeypatch):
    send = network.port.send

    def interrupted(frame):
        monkeypatch.setattr(network.port, "send", send)
        raise KeyboardInterrupt

    monkeypatch.setattr(network.port, "send", interrupted)
    with pytest.raises(KeyboardInterrupt):
        network[101].download(0x6081, 0, b"\x01\0\0\0")
    assert network[101].client.pending == 0
    assert network.read(101, 0x6081) == 10_000


def test_a_bad_item_of_read_many_leaves_nothing_behind(network):
    with pytest.raises(ValueError, match=r"outside 1\.\.127"):
        network.read_many([(101, 0x1000), (200, 0x1000)])
    assert network[101].client.pending == 0


def test_what_a_plan_does_about_ctrl_c_is_done(network):
    asked = []

    def plan():
        try:
            yield Sleep(0.01)
            yield Stop()
        except KeyboardInterrupt:
            asked.append((yield SdoRead(101, 0x1000)))
            yield Send(Frame(0x000, b"\x02\x65"))
            raise

    class Stop:
        """Interrupts whoever performs it."""

        @property
        def __class__(self):
            raise KeyboardInterrupt

    with network.frames() as frames, pytest.raises(KeyboardInterrupt):
        network.run(plan())
    assert asked == [bytes.fromhex("92010200")]
    assert any(frame.can_id == 0 for frame in list(iter(lambda: frames.get(0), None)))


def test_an_adapter_that_goes_ends_every_transfer_that_was_begun():
    fake = Fake()

    def gone(timeout):
        raise can.CanOperationError("unplugged")

    with opendiag.connect(fake, timeout_s=30) as network:
        pending = network[5].begin_upload(0x1000)
        fake._recv_internal = gone
        with pytest.raises(AdapterClosed, match="unplugged"):
            pending.result()
        assert pending.done
        assert isinstance(pending.transfer.error, AdapterClosed)
    fake.shutdown()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")  # the other library's thread
def test_closing_succeeds_although_the_canopen_package_met_the_end_of_the_bus():
    fake = Fake()

    def gone(timeout):
        raise can.CanOperationError("unplugged")

    network = opendiag.connect(fake)
    network.canopen()
    fake._recv_internal = gone
    deadline = time.monotonic() + 5
    while network.pump.failure is None and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    network.close()
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("opendiag")]
    fake.shutdown()


def test_a_driver_that_raises_anything_fails_the_frame_only():
    def refuse(msg, fake):
        raise ValueError("driver says no")

    fake = Fake(refuse)
    with opendiag.connect(fake, timeout_s=0.1) as network:
        with pytest.raises(SendFailed, match="driver says no"):
            network.send(Frame(1))
        with pytest.raises(SdoError, match="did not send the request: driver says no"):
            network[5].upload(0x1000)
    fake.shutdown()


# --- arguments -------------------------------------------------------------------------------------------------------


def test_an_index_in_text_is_hexadecimal_everywhere(network):
    assert network.read(101, "1018", 1) == 0x2E1
    assert network.read(101, "Identity Object", 1) == 0x2E1
    network.write(101, "6081", 6, 0)
    assert network.read(101, 0x6081) == 6


@pytest.mark.parametrize("key", [0x10000, -1, (0x6041, 300), (0x6041, -1)])
def test_an_object_that_cannot_be_is_no_object(network, key):
    with pytest.raises(ObjectNotFound, match="16 bits"):
        network[101][key]


def test_a_number_that_is_no_integer_does_not_block_the_node(network):
    with pytest.raises(TypeError):
        network[101].upload(1.5)
    assert network[101].upload(0x1000)


def test_bits_and_physical_values_are_refused_before_anything_is_sent(network):
    word, speed = network[101][0x605A], network[101][0x6081]
    with network.frames() as frames:
        with pytest.raises(ValueRefused, match="16 bits, and no bit 20"):
            word.bits[20] = 1
        for value in (float("nan"), float("inf"), "fast"):
            with pytest.raises(ValueRefused, match="no finite number"):
                speed.phys = value
        assert frames.get(0) is None


def test_what_a_simulated_bus_does_not_know_is_refused():
    with pytest.raises(BadInterface, match="no option foo"):
        opendiag.connect("sim:stepim?foo=1")
    with pytest.raises(ValueError, match=r"outside 1\.\.127"):
        opendiag.connect("sim:stepim", dictionaries={200: "stepim"})
    with pytest.raises(ValueError, match="not positive"):
        opendiag.connect("sim:stepim", timeout_s=0)


def test_a_failed_connect_leaves_nothing_open(bus):
    with pytest.raises(UnknownDictionary):
        opendiag.connect(bus, dictionaries={5: "nope"}, clock=ManualClock())
    assert [station.name for station in bus.stations] == ["motor"]


def test_two_networks_on_one_simulated_bus_share_its_clock(bus):
    clock = ManualClock()
    with opendiag.connect(bus, clock=clock) as one, opendiag.connect(bus) as two:
        assert two.clock is clock
        assert one[101].upload(0x1000) == two[101].upload(0x1000)
        with pytest.raises(BadInterface, match="another clock"):
            opendiag.connect(bus, clock=ManualClock())


def test_a_clock_of_ones_own_is_for_simulated_buses():
    fake = Fake()
    with pytest.raises(BadInterface, match="for simulated buses"):
        opendiag.connect(fake, clock=ManualClock())
    fake.shutdown()


def test_listen_only_holds_for_a_bus_that_was_handed_in():
    sent = []
    fake = Fake(lambda msg, bus: sent.append(msg))
    with opendiag.connect(fake, listen_only=True) as network, pytest.raises(AdapterError, match="listen only"):
        network.send(Frame(0, b"\x01\0"))
    assert not sent
    fake.shutdown()


def test_another_channel_keeps_the_dictionary_and_retires_the_old_client(network):
    node = network[101]
    assert network.node(101, channel=SdoChannel.default(101)) is node
    other = network.node(101, channel=SdoChannel(101, 0x6A0, 0x5A0, number=2))
    assert other is network[101] is not node
    assert other.view.dictionary is node.view.dictionary
    with pytest.raises(ValueError, match="node 6"):
        network.node(5, channel=SdoChannel.default(6))


# --- what comes when ---


def test_an_answer_that_lies_in_the_queue_is_not_late():
    """The reader was away for longer than the time-out; the answer is behind twenty other frames."""

    def answer(msg, fake):
        if msg.data[0] == 0x40:
            fake.messages += [message(0x185, b"\0")] * 20 + [message(0x585, bytes.fromhex("4B41600027020000"))]
            time.sleep(0.3)

    sent = []
    fake = Fake(lambda msg, bus: (sent.append(msg.data[0]), answer(msg, bus)))
    with opendiag.connect(fake, timeout_s=0.2) as network:
        assert network[5].upload(0x6041) == b"\x27\x02"
        assert network[5].client.late_answers == 0
    fake.shutdown()
    assert sent == [0x40]


def test_times_of_an_adapter_that_counts_from_somewhere_else_are_moved():
    fake = Fake(messages=[message(0x185, b"\0", at=5.0), message(0x185, b"\0", at=5.5)])
    with opendiag.connect(fake) as network:
        # made before the first frame is read: the pump's thread has not started to look
        with network.frames() as frames:
            seen = [frame for _ in range(2) if (frame := frames.get(1)) is not None]
        if len(seen) == 2:
            assert seen[1].time_ns - seen[0].time_ns == pytest.approx(0.5e9, abs=1e6)
            assert abs(seen[0].time_ns / 1e9 - time.time()) < 60
    fake.shutdown()


def test_a_progress_callback_that_waits_is_told_so_and_the_read_goes_on(network):
    node, caught = network[101], []

    def progress(done, size):
        try:
            node.upload(0x1000)
        except opendiag.OpenDiagError as error:
            caught.append(error)

    assert node.upload(0x1008, progress=progress) == b"stepIM"
    assert "callback" in str(caught[0])


def test_unsized_answers_are_cut_for_everybody():
    bus = SimBus()
    bus.attach(SimNode("stepim", 5, quirks=NodeQuirks(sdo=SdoQuirks(unsized_expedited=True))), "node")
    with opendiag.connect(bus, dictionaries={5: "stepim"}, clock=ManualClock()) as network:

        def plan():
            return (yield SdoRead(5, 0x1017))

        assert network[5].upload(0x1017) == network.run(plan()) == b"\xd0\x07"
        assert network.read_many([(5, 0x1017)]) == [2000]
        assert network[5].view.number(0x1017, 0) == 2000


def test_what_was_written_is_known_until_the_node_starts_again(network):
    node = network[101]
    node[0x1017].write(500)
    assert node.view.number(0x1017, 0) == 500
    network.send(Frame(0x000, b"\x81\x65"))
    network.sleep(2)
    assert node.view.number(0x1017, 0) != 500


def test_a_value_of_another_length_is_an_error_of_its_item(network):
    items = [(101, 0x1000), (101, 0x1017)]
    network[101].view.dictionary  # noqa: B018
    bad = network[101]
    original = bad.fitted
    bad.fitted = lambda transfer, raw: raw[:1] if transfer.index == 0x1017 else original(transfer, raw)
    first, second = network.read_many(items, errors="return")
    assert first == 0x20192
    assert isinstance(second, SdoProtocolError)


def test_a_closed_stream_gives_nothing_more(network):
    stream = network.frames()
    stream.close()
    assert stream.get() is None
    assert list(stream) == []


def test_a_look_without_waiting_sees_what_is_there(bus):
    other = bus.attach(name="other")
    with opendiag.connect(bus, clock=ManualClock()) as network, network.frames() as frames:
        other.send(Frame(0x123))
        bus.run_until(0.1)
        assert frames.get(0) is not None


def test_the_same_function_subscribed_twice_is_two_subscriptions():
    seen = []
    with opendiag.connect("sim:stepim") as network:
        first = network.subscribe(seen.append)
        network.subscribe(seen.append)
        first()
        network.send(Frame(0x123))
        deadline = time.monotonic() + 5
        while not any(frame.can_id == 0x123 for frame in seen) and time.monotonic() < deadline:
            time.sleep(0.005)
        assert sum(frame.can_id == 0x123 for frame in seen) == 1
    with pytest.raises(AdapterClosed):
        network.subscribe(seen.append)


def test_a_large_stream_is_read_in_pieces(network):
    target = io.BytesIO()
    assert network[101].upload(0x1008, into=target) == b""
    assert target.getvalue() == b"stepIM"
