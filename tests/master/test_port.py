"""The ways to a bus: python-can's, with all that drivers raise, and the simulated one."""

import errno
import threading
import time

import can
import pytest

import opendiag
from opendiag.adapters.bus import AdapterBus, QueueFull, Unplugged
from opendiag.adapters.inbox import Inbox
from opendiag.errors import AdapterClosed, SdoTimeout, SendFailed
from opendiag.frame import Frame
from opendiag.master import port as port_module
from opendiag.master.clock import ManualClock, RealClock
from opendiag.master.port import CanPort
from opendiag.master.sim_port import SimPort, SimWorld
from opendiag.simulate.bus import SimBus
from opendiag.simulate.devices import make_device

SOON_S = 2.0


class Driver(can.BusABC):
    """Raises what it is told to, then works."""

    def __init__(self, **kwargs):
        self.channel_info = "fake driver"
        self.raises = []
        self.recv_raises = None
        self.messages = []
        self.sent = []
        self.tries = 0
        self.timeouts = []
        self.shutdowns = 0
        super().__init__("fake", **kwargs)

    def send(self, msg, timeout=None):
        self.tries += 1
        if self.raises:
            raise self.raises.pop(0)
        self.sent.append(msg)

    def _recv_internal(self, timeout):
        self.timeouts.append(timeout)
        if self.recv_raises is not None:
            raise self.recv_raises
        return (self.messages.pop(0) if self.messages else None), True

    def shutdown(self):
        self.shutdowns += 1
        super().shutdown()


@pytest.fixture
def driver():
    made = Driver()
    yield made
    can.BusABC.shutdown(made)


@pytest.fixture
def clock():
    return ManualClock(100.0)


@pytest.fixture
def port(driver, clock):
    return CanPort(driver, "fake:0", clock.now)


def full():
    return can.CanOperationError("no buffer space", errno.ENOBUFS)


# --- sending ---


def test_frames_become_messages(port, driver):
    port.send(Frame(0x123, b"\x01\x02"))
    port.send(Frame(0x1F00_0000, extended=True))
    first, second = driver.sent
    assert (first.arbitration_id, bytes(first.data), first.is_extended_id) == (0x123, b"\x01\x02", False)
    assert (second.arbitration_id, second.is_extended_id) == (0x1F00_0000, True)


@pytest.mark.parametrize("make", [full, lambda: OSError(errno.ENOBUFS, "no buffer space")])
def test_a_full_queue_is_waited_for(port, driver, make):
    driver.raises = [make(), make(), make()]
    port.send(Frame(0x123))
    assert driver.tries == 4
    assert len(driver.sent) == 1


def test_a_queue_that_stays_full_is_said_so(port, driver, monkeypatch):
    monkeypatch.setattr(port_module, "_QUEUE_FULL_S", 0.02)
    driver.raises = [full() for _ in range(1000)]
    began = time.monotonic()
    with pytest.raises(SendFailed, match=r"fake:0.*no buffer space"):
        port.send(Frame(0x123))
    assert 0.02 <= time.monotonic() - began < SOON_S
    assert 1 < driver.tries < 1000


@pytest.mark.parametrize("code", [errno.ENODEV, errno.ENXIO, errno.EBADF])
def test_an_adapter_that_is_gone_is_closed(port, driver, code):
    driver.raises = [OSError(code, "gone indeed")]
    with pytest.raises(AdapterClosed, match="gone indeed"):
        port.send(Frame(0x123))


@pytest.mark.parametrize(
    "error", [can.CanOperationError("transmit error."), can.CanTimeoutError("late"), OSError(errno.ENETDOWN, "down")]
)
def test_anything_else_is_a_frame_that_was_not_sent(port, driver, error):
    driver.raises = [error]
    with pytest.raises(SendFailed) as caught:
        port.send(Frame(0x123))
    assert not caught.value.reason.endswith(".")
    port.send(Frame(0x123))
    assert len(driver.sent) == 1


# --- receiving ---


def test_messages_become_frames_of_one_bus(port, driver, clock):
    driver.messages = [can.Message(arbitration_id=0x7F, data=b"\x05", is_extended_id=False, channel="vcan9")]
    (frame,) = port.receive(clock.now())
    assert (frame.can_id, frame.data, frame.extended, frame.channel) == (0x7F, b"\x05", False, None)
    assert port.receive(clock.now()) == []


def test_a_wait_is_cut_into_slices(port, driver, clock):
    assert port.receive(clock.now() + 100) == []
    assert port.receive(clock.now() + 0.005) == []
    assert port.receive(clock.now() - 5) == []
    assert max(driver.timeouts) <= port_module.SLICE_S
    assert driver.timeouts[-1] == 0


def test_a_message_that_no_bus_can_carry_is_counted(port, driver, clock):
    wrong = can.Message(arbitration_id=0x1FFFF, is_extended_id=False, check=False)
    driver.messages = [wrong, can.Message(arbitration_id=1, is_extended_id=False)]
    assert port.receive(clock.now()) == []
    assert port.unreadable == 1
    assert [frame.can_id for frame in port.receive(clock.now())] == [1]


@pytest.mark.parametrize("error", [can.CanOperationError("unplugged"), OSError("unplugged"), RuntimeError("unplugged")])
def test_whatever_the_driver_raises_means_that_it_is_gone(port, driver, clock, error):
    driver.recv_raises = error
    with pytest.raises(AdapterClosed, match=r"fake:0.*gone: unplugged"):
        port.receive(clock.now())


def test_an_interrupt_is_no_adapter_error(port, driver, clock):
    driver.recv_raises = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        port.receive(clock.now())


# --- a driver of our own ---


class OurDriver(AdapterBus):
    """Sends into a list, or raises what it is told to."""

    def __init__(self, **kwargs):
        self.sent = []
        self.failure = None
        self.calls = 0
        self.inbox = Inbox()
        super().__init__("ours 0", "0", self.inbox, kwargs.pop("can_filters", None), fd=False)

    def send_frame(self, frame, timeout_s=None):
        self.calls += 1
        if self.failure:
            raise self.failure
        self.sent.append(frame)

    def _close(self):
        pass


@pytest.fixture
def our_driver():
    with OurDriver() as made:
        yield made


@pytest.fixture
def our_port(our_driver):
    return CanPort(our_driver, "ours:0", RealClock().now)


def test_frames_of_our_drivers_pass_as_they_are(our_port, our_driver):
    frames = [Frame(0x100 + number, b"\x01", time_ns=time.time_ns()) for number in range(50)]
    our_driver.inbox.put(frames[:20])
    our_driver.inbox.put(frames[20:])
    received = our_port.receive(time.time() + SOON_S)
    assert received == frames and all(one is other for one, other in zip(received, frames, strict=True))
    assert our_port.receive(time.time()) == []
    our_port.send(frames[0])
    assert our_driver.sent[0] is frames[0]


def test_a_filter_of_the_bus_that_was_lent_holds():
    with OurDriver(can_filters=[{"can_id": 0x100, "can_mask": 0x7FF}]) as bus:
        port = CanPort(bus, "ours:0", RealClock().now, borrowed=True)
        bus.inbox.put([Frame(0x101, time_ns=time.time_ns()), Frame(0x100, time_ns=time.time_ns())])
        end = time.monotonic() + SOON_S
        while not (received := port.receive(time.time() + 0.1)) and time.monotonic() < end:
            pass
        assert [frame.can_id for frame in received] == [0x100]


def test_what_our_drivers_say_of_themselves_is_passed_on(our_port, our_driver, monkeypatch):
    assert (our_port.bus_state, our_port.tx_errors, our_port.rx_errors) == (None, None, None)
    our_driver.bus_state, our_driver.tx_errors, our_driver.rx_errors = "error-passive", 128, 3
    assert (our_port.bus_state, our_port.tx_errors, our_port.rx_errors) == ("error-passive", 128, 3)
    assert our_port.findings() == []
    our_driver.inbox.lost = 2
    our_port.close()
    assert [finding.sentence for finding in our_port.findings()] == [
        "2 frames came faster than they were taken, and are lost"
    ]


def test_what_to_know_about_our_driver_is_passed_on(our_driver):
    our_driver.notes = ["it can send by itself"]
    assert CanPort(our_driver, "ours:0", RealClock().now).notes == ["it can send by itself"]


def test_listen_only_of_the_name_is_known(our_driver):
    our_driver.listen_only = True
    port = CanPort(our_driver, "ours:0?listen_only=yes", RealClock().now)
    with pytest.raises(SendFailed, match="opened to listen only"):
        port.send(Frame(1))
    assert our_driver.calls == 0


@pytest.mark.parametrize(
    ("failure", "error", "sentence"),
    [
        (QueueFull("ours 0 takes no frame"), SendFailed, "ours:0 cannot send: ours 0 takes no frame"),
        (Unplugged("/dev/x is gone: unplugged."), AdapterClosed, "ours:0: /dev/x is gone: unplugged"),
        (
            can.CanOperationError("ours 0 is unplugged, and looked for", errno.ENETDOWN),
            SendFailed,
            "ours:0 cannot send: ours 0 is unplugged, and looked for",
        ),
        (can.CanOperationError("ours 0 is closed", errno.EBADF), AdapterClosed, "ours:0: ours 0 is closed"),
        (can.CanOperationError("ours 0 has no CAN FD"), SendFailed, "ours:0 cannot send: ours 0 has no CAN FD"),
    ],
)
def test_a_frame_that_our_driver_did_not_send(our_port, our_driver, failure, error, sentence):
    our_driver.failure = failure
    with pytest.raises(error) as caught:
        our_port.send(Frame(1))
    assert str(caught.value) == sentence
    assert caught.value.__cause__ is failure
    assert our_driver.calls == 1, "the driver itself waits as long as is sensible"


def test_frames_from_before_the_plug_was_pulled_come_first(our_port, our_driver):
    our_driver.inbox.put([Frame(1)])
    our_driver.inbox.fail(Unplugged("/dev/x is gone: unplugged"))
    assert our_port.receive(time.time() + SOON_S) == [Frame(1)]
    for _ in range(2):
        with pytest.raises(AdapterClosed) as error:
            our_port.receive(time.time() + SOON_S)
        assert str(error.value) == "ours:0: /dev/x is gone: unplugged"


def test_closing_our_driver_ends_the_wait_of_another_thread(our_port, our_driver):
    timer = threading.Timer(0.03, our_port.close)
    timer.start()
    began = time.monotonic()
    with pytest.raises(AdapterClosed, match=r"ours:0: closed$"):
        while time.monotonic() < began + SOON_S:
            our_port.receive(time.time() + SOON_S)
    timer.join()


# --- closing ---


def test_a_bus_of_our_own_is_shut_down_once(port, driver, clock):
    port.close()
    port.close()
    assert driver.shutdowns == 1
    with pytest.raises(AdapterClosed, match="closed"):
        port.send(Frame(1))
    with pytest.raises(AdapterClosed, match="closed"):
        port.receive(clock.now())


def test_a_borrowed_bus_is_left_open(driver, clock):
    port = CanPort(driver, "fake:0", clock.now, borrowed=True)
    port.close()
    assert driver.shutdowns == 0
    with pytest.raises(AdapterClosed):
        port.send(Frame(1))


# --- listen-only ---


def test_a_listening_bus_refuses_to_send_without_trying(port, driver):
    port.listen_only = True
    with pytest.raises(SendFailed, match="listen"):
        port.send(Frame(1))
    assert driver.tries == 0


def test_listen_only_is_what_the_driver_says(driver, clock):
    driver.listen_only = True
    assert CanPort(driver, "fake:0", clock.now).listen_only


def test_a_simulated_listener_hears_and_sends_nothing():
    bus = SimBus()
    other = bus.attach(name="other")
    bus.attach(name="third")
    with opendiag.connect(bus, listen_only=True, clock=ManualClock(), timeout_s=0.05) as network:
        assert network.facts().listen_only
        with pytest.raises(SendFailed, match="listen-only"):
            network.send(Frame(1))
        with pytest.raises(SdoTimeout):
            network[5].upload(0x1000)
        assert network.watch.send_failure_count
        with network.frames() as frames:
            other.send(Frame(0x42))
            assert frames.get(0.1).can_id == 0x42
    assert bus.statistics().sent == 1


# --- the simulated port ---


@pytest.mark.parametrize("make_clock", [ManualClock, RealClock])
def test_frames_arrive_when_the_wire_has_carried_them(make_clock):
    clock = make_clock()
    world = SimWorld(SimBus(125_000, start=clock.now()), clock)
    here, there = SimPort(world, "here"), SimPort(world, "there")
    assert here.runs_in_thread is clock.runs
    began = clock.now()
    here.send(Frame(0x123, bytes(8)))
    assert there.receive(began) == []
    (frame,) = there.receive(began + SOON_S)
    assert frame.data == bytes(8)
    assert frame.time_ns / 1e9 - began == pytest.approx(0.001, abs=0.0005 if clock.runs else 0.0003)
    here.close()
    there.close()


def test_a_wait_without_frames_ends_at_its_moment():
    clock = ManualClock()
    port = SimPort(SimWorld(SimBus(), clock))
    assert port.receive(3.5) == []
    assert clock.now() == 3.5
    assert port.receive(1.0) == []
    assert clock.now() == 3.5


def test_a_long_wait_ends_with_the_frame_of_another_thread():
    clock = RealClock()
    world = SimWorld(SimBus(start=clock.now()), clock)
    here, there = SimPort(world, "here"), SimPort(world, "there")
    timer = threading.Timer(0.03, here.send, [Frame(0x123)])
    timer.start()
    began = time.perf_counter()
    assert [frame.can_id for frame in there.receive(clock.now() + 10 * SOON_S)] == [0x123]
    assert time.perf_counter() - began < SOON_S
    timer.join()


def test_closing_ends_the_wait_of_another_thread():
    clock = RealClock()
    world = SimWorld(SimBus(start=clock.now()), clock)
    port = SimPort(world)
    timer = threading.Timer(0.03, port.close)
    timer.start()
    began = time.perf_counter()
    with pytest.raises(AdapterClosed):
        port.receive(clock.now() + 10 * SOON_S)
    assert time.perf_counter() - began < SOON_S
    timer.join()
    port.close()
    assert world.bus.stations == ()
    with pytest.raises(AdapterClosed):
        port.send(Frame(1))


def test_two_networks_share_a_world():
    clock = ManualClock()
    world = SimWorld(SimBus(), clock)
    world.bus.attach(make_device("stepim", 101), "node 101", on_event=lambda event, now: None)
    with (
        opendiag.master.network.Network(SimPort(world, "one"), clock) as one,
        opendiag.master.network.Network(SimPort(world, "two"), clock) as two,
    ):
        assert one[101].upload(0x1000) == two[101].upload(0x1000) == bytes.fromhex("92010200")
