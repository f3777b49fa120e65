"""A network on a simulated bus: reading, writing, threads, callbacks, and what happens when the bus goes."""

import threading
import time

import can
import pytest

import opendiag
from opendiag.errors import (
    AdapterClosed,
    BlockingCall,
    ObjectNotFound,
    SdoAborted,
    SdoCancelled,
    SdoTimeout,
    ValueRefused,
)
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.simulate.bus import SimBus
from opendiag.simulate.devices import make_device


@pytest.fixture
def network():
    with opendiag.connect("sim:stepim", clock=ManualClock()) as made:
        yield made


def test_objects_by_number_name_and_member(network):
    node = network[101]
    assert node[0x1000].read() == 0x20192
    assert node["Device Type"].read() == 0x20192
    assert node["device-type"].read() == 0x20192
    assert node["Identity Object"]["Vendor ID"].read() == 0x2E1
    assert node[0x1018][2].read() == 0xA5A5
    assert node[0x1018, 2].read() == 0xA5A5
    assert node["1018:02"].read() == 0xA5A5
    assert [variable.subindex for variable in node[0x1018]] == [0, 1, 2, 3, 4]
    assert network.read(101, "Statusword") == network.read(101, 0x6041)
    assert network.read(101, 0x1018, 1) == 0x2E1


def test_the_identity_chooses_the_bundled_dictionary(network):
    assert network[101].view.dictionary is None
    assert network[101].dictionary.name == "stepim"
    assert network[101][0x6078].unit == "mA"


def test_a_name_that_nobody_knows_says_what_comes_close(network):
    with pytest.raises(ObjectNotFound, match="'Statusword'"):
        network[101]["Statuswort"]


def test_write_checks_before_it_sends(network):
    node = network.node(101, "stepim")
    with network.frames() as frames:
        with pytest.raises(ValueRefused, match="read-only"):
            node[0x6041].write(0)
        with pytest.raises(ValueRefused, match=r"outside -128\.\.127"):
            node[0x6060].write(200)
        with pytest.raises(ValueRefused, match=r"above its upper limit 8 \(allowed: -6..8\)"):
            node[0x6060].write(9)
        with pytest.raises(ValueRefused, match="takes an integer"):
            node[0x6060].write("fast")
        assert frames.get(0) is None, "nothing was sent"
    node[0x6060].write(8)
    assert node[0x6060].read() == 8


def test_force_lets_the_device_decide(network):
    with pytest.raises(SdoAborted) as caught:
        network.node(101, "stepim")[0x6060].write(9, force=True)
    assert caught.value.code == 0x06090031
    assert "Modes of Operation" in str(caught.value)


def test_the_words_of_canopen(network):
    node = network.node(101, "stepim")
    speed = node[0x6081]
    speed.raw = 12_345
    assert speed.raw == 12_345
    assert speed.phys == pytest.approx(123.45)
    speed.phys = 50.0
    assert speed.raw == 5000
    assert node["Modes of Operation"].desc
    node[0x6060].desc = node[0x6060].description.values[1]
    assert node[0x6060].raw == 1
    word = node[0x605A]
    word.raw = 2
    assert word.bits[1] == 1
    assert word.bits[0:2] == 2
    word.bits[0] = 1
    assert word.raw == 3


def test_read_many_reads_nodes_side_by_side_and_keeps_the_order():
    with opendiag.connect("sim:stepim=1,stepim=2,stepim=3", clock=ManualClock()) as network:
        items = [(node_id, 0x1018, 1) for node_id in (3, 1, 2)] + [(2, "Device Type")]
        assert network.read_many(items) == [0x2E1] * 3 + [0x20192]


def test_read_many_returns_or_raises_what_failed(network):
    items = [(101, 0x1000), (101, 0x5FFF), (101, 0x1001)]
    with pytest.raises(SdoAborted):
        network.read_many(items)
    first, second, third = network.read_many(items, errors="return")
    assert (first, third) == (0x20192, 0)
    assert isinstance(second, SdoAborted)


def test_a_timeout_says_why(network):
    with pytest.raises(SdoTimeout) as caught:
        network[5].upload(0x1000)
    assert caught.value.why
    assert caught.value.why[0].code in ("SDO-NODE-ABSENT", "SDO-WRONG-NODE-ID")
    assert "node 5" in str(caught.value)


def test_a_pending_transfer_can_be_waited_for_and_cancelled(network):
    pending = network[101].begin_upload(0x1000)
    assert pending.result() == bytes.fromhex("92010200")
    assert pending.done
    late = network[5].begin_upload(0x1000)
    with pytest.raises(TimeoutError, match="it goes on"):
        late.result(timeout_s=0.1)
    late.cancel()
    with pytest.raises(opendiag.OpenDiagError, match="cancelled"):
        late.result()


def test_frames_show_both_directions_in_order(network):
    network.sleep(0.1)  # the boot-up
    with network.frames() as frames:
        network[101].upload(0x1000)
        seen = [frames.get(0), frames.get(0)]
    assert [(frame.id_text, frame.direction) for frame in seen] == [("665", "tx"), ("5E5", "rx")]
    assert seen[0].time_ns <= seen[1].time_ns


def test_a_blocking_call_in_a_callback_raises():
    caught = []
    seen = threading.Event()
    with opendiag.connect("sim:stepim") as network:

        def callback(frame):
            try:
                network[101].upload(0x1000)
            except BlockingCall as error:
                caught.append(error)
            seen.set()

        network.subscribe(callback)
        network[101].upload(0x1001)
        assert seen.wait(5)
    assert "callback" in str(caught[0])


def test_a_failing_callback_disturbs_nobody(caplog):
    seen = []
    with opendiag.connect("sim:stepim") as network:

        def bad(frame):
            raise RuntimeError("broken callback")

        network.subscribe(bad)
        end = network.subscribe(seen.append)
        network[101].upload(0x1001)
        deadline = time.monotonic() + 5
        while len(seen) < 2 and time.monotonic() < deadline:
            time.sleep(0.005)
        assert len(seen) >= 2
        end()
    assert "broken callback" in caplog.text


@pytest.mark.parametrize("nodes", [8, 1])
def test_eight_threads(nodes):
    """10 000 reads each is what benchmarks/soak.py does; here as many as show a race."""
    reads = 1000
    devices = ",".join(f"stepim={node}" for node in range(1, nodes + 1))
    errors, done = [], []
    with opendiag.connect(f"sim:{devices}", clock=ManualClock(), timeout_s=5) as network:

        def work(place):
            node = network[place % nodes + 1]
            try:
                for turn in range(reads):
                    if turn % 2:
                        assert node.upload(0x1018, 1) == bytes.fromhex("e1020000")
                    else:
                        assert node.upload(0x1018, 2) == bytes.fromhex("a5a50000")
                done.append(place)
            except BaseException as error:
                errors.append(error)

        threads = [threading.Thread(target=work, args=(place,)) for place in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads)
    assert not errors
    assert sorted(done) == list(range(8))


class Gone(can.BusABC):
    """An adapter that is pulled out while somebody waits for an answer."""

    def __init__(self):
        self.channel_info = "pulled adapter"
        self.pulled = threading.Event()
        super().__init__("gone")

    def send(self, msg, timeout=None):
        if self.pulled.is_set():
            raise can.CanOperationError("no such device")

    def _recv_internal(self, timeout):
        if self.pulled.wait(timeout):
            raise can.CanOperationError("no such device")
        return None, False


def test_an_adapter_that_goes_ends_the_wait_with_a_typed_error():
    bus = Gone()
    with opendiag.connect(bus, timeout_s=30) as network:
        threading.Timer(0.1, bus.pulled.set).start()
        began = time.monotonic()
        with pytest.raises(AdapterClosed, match="pulled adapter: gone: no such device"):
            network[5].upload(0x1000)
        assert time.monotonic() - began < 1.1
        with pytest.raises(AdapterClosed):
            network[5].upload(0x1000)
    bus.shutdown()


@pytest.mark.parametrize("make", [lambda: Gone(), lambda: "sim:stepim"])
def test_closing_the_network_ends_every_wait_and_every_thread(make):
    before = set(threading.enumerate())
    bus = make()
    network = opendiag.connect(bus, timeout_s=30)
    network.subscribe(lambda frame: None)
    errors = []

    def work():
        try:
            network[5].upload(0x1000)
        except SdoCancelled as error:
            errors.append(error)

    threads = [threading.Thread(target=work) for _ in range(3)]
    for thread in threads:
        thread.start()
    time.sleep(0.05)
    began = time.monotonic()
    network.close()
    for thread in threads:
        thread.join(1)
    assert len(errors) == 3
    assert time.monotonic() - began < 1
    network.close()
    left = set(threading.enumerate()) - before
    assert not left
    if isinstance(bus, can.BusABC):
        bus.shutdown()


def test_a_bus_that_was_handed_in_stays_open():
    with can.Bus("opendiag-borrowed", interface="virtual") as bus:
        with opendiag.connect(bus) as network:
            network.send(Frame(0x123, b"\x01"))
        bus.send(can.Message(arbitration_id=1, is_extended_id=False))


def test_a_simulated_bus_that_was_handed_in_goes_on_from_its_own_time():
    bus = SimBus()
    bus.attach(make_device("stepim"))
    with opendiag.connect(bus) as network:
        assert network[101].upload(0x1018, 1) == bytes.fromhex("e1020000")
        assert network.clock.now() < 60


def test_the_canopen_package_works_on_the_same_bus():
    with opendiag.connect("sim:stepim") as network:
        theirs = network.canopen()
        node = theirs.add_node(101)
        node.sdo.RESPONSE_TIMEOUT = 2
        for _ in range(20):
            assert node.sdo.upload(0x1018, 1) == bytes.fromhex("e1020000")
            assert network[101].upload(0x1018, 2) == bytes.fromhex("a5a50000")
        theirs.disconnect()
