"""Finding out how a USB-CAN Analyzer talks, waiting until it hears, and changing what it keeps."""

import threading
import time

import can
import pytest
from emulators.bench_usbcan import UsbCanBench
from emulators.bus_model import BusModel
from emulators.usbcan_device import Stored

from opendiag.adapters import usbcan_setup
from opendiag.adapters.usbcan import clear_stored_filter, set_baud_rate
from opendiag.adapters.usbcan_codec import BAUD_RATES
from opendiag.frame import Frame


@pytest.fixture
def model():
    return BusModel()


@pytest.fixture
def make(model, tmp_path):
    benches = []

    def bench(**switches):
        benches.append(UsbCanBench(model, tmp_path, **{"baud_matters": True, **switches}))
        return benches[-1]

    yield bench
    for one in benches:
        one.close()


@pytest.fixture
def impatient(monkeypatch):
    """Nothing blinks for long here."""
    monkeypatch.setattr(usbcan_setup, "blink_s", lambda baud: 0.3)


@pytest.mark.parametrize("baud", BAUD_RATES)
def test_the_baud_rate_is_found(make, model, baud):
    bus = make(stored=Stored(baud=baud)).open()
    assert bus._link.baud == baud
    peer, heard = model.listener()
    peer.send(Frame(0x123))
    assert bus.recv(2).arbitration_id == 0x123
    bus.send(can.Message(arbitration_id=0x124, is_extended_id=False))
    deadline = time.monotonic() + 2
    while not heard and time.monotonic() < deadline:
        time.sleep(0.005)
    assert heard


def test_it_is_waited_for_as_long_as_it_blinks(make):
    """It hears nothing meanwhile: a configuration sent at once would be lost, and nobody told."""
    bench = make(blink_s=0.5, blinking=True)
    begin = time.monotonic()
    bench.open(baud=2_000_000)
    assert 0.4 < time.monotonic() - begin < 0.9, "no longer than needed"
    assert len(bench.device.configured) == 1


def test_a_ready_adapter_is_not_waited_for(make):
    bench = make()
    begin = time.monotonic()
    bench.open(baud=2_000_000)
    assert time.monotonic() - begin < 0.3


def test_it_may_be_deaf_after_its_configuration(make, model):
    bench = make(settle_s=0.3)
    bus = bench.open()
    _, heard = model.listener()
    bus.send(can.Message(arbitration_id=0x124, is_extended_id=False))
    deadline = time.monotonic() + 2
    while not heard and time.monotonic() < deadline:
        time.sleep(0.005)
    assert heard


def test_nothing_from_before_is_received(make, model):
    """The adapter goes on with what the program before this one had set."""
    bench = make()
    peer, _ = model.listener(bit_rate=250_000)
    before = bench.open(bitrate=250_000)
    before.shutdown()
    for number in range(50):
        peer.send(Frame(0x500 + number))
    bus = bench.open(bitrate=500_000)
    peer.bit_rate = 500_000
    peer.send(Frame(0x123))
    assert bus.recv(2).arbitration_id == 0x123
    assert bus.counters["skipped"] == 0


def test_half_a_frame_of_another_program_does_not_swallow_the_configuration(make):
    """The adapter takes what comes next for the rest of it."""
    bench = make()
    bench.device.receive(b"\xaa\xe8\x23\x01\x00\x00\x11")
    bench.open()
    assert len(bench.device.configured) == 1
    assert bench.device.configured[0][3] == 0x03


def test_a_busy_bus_does_not_hide_the_answer(make, model):
    bench = make(chunk=7)
    bench.open().shutdown()
    peer, _ = model.listener()
    model.hold()
    for number in range(300):
        peer.send(Frame(number, b"\xaa\x55\xaa\xc8\x55\x55\xaa\xaa"))
    model.release()
    bus = bench.open()
    assert bus._link.answers


def test_nothing_answers_at_any_rate(make, impatient):
    bench = make(answers_status=False)
    with pytest.raises(
        can.CanInitializationError, match=r"no USB-CAN Analyzer answers at 2000000, 1228800, .*jumper.*slcan:"
    ):
        bench.open()
    assert bench.device.configured == []
    bench.device.answers_status = True
    bench.open()  # and the port is free again


def test_an_adapter_that_answers_nothing_opens_at_a_given_rate(make, model, impatient):
    """Some clones do not know the status request."""
    bus = make(answers_status=False).open(baud=2_000_000)
    peer, _ = model.listener()
    peer.send(Frame(0x123))
    assert bus.recv(2).arbitration_id == 0x123
    assert [finding.code for finding in bus.findings()] == ["adapter-silent"]
    assert bus.bus_state is None


def test_an_adapter_in_transparent_mode_is_not_found(make, model, impatient):
    bench = make(stored=Stored(transparent=True))
    with pytest.raises(can.CanInitializationError, match="ends transparent mode"):
        bench.open()
    bench.device.jumper()
    bench.open()


def test_silence_after_the_configuration_is_an_error(make, impatient):
    bench = make(settle_s=30.0)
    with pytest.raises(can.CanInitializationError, match="fell silent when it was configured"):
        bench.open()


def test_unplugged_while_it_is_opened(make):
    bench = make(answers_status=False)
    timer = threading.Timer(0.1, bench.unplug)
    timer.start()
    begin = time.monotonic()
    with pytest.raises(can.CanInitializationError, match="is gone"):
        bench.open()
    assert time.monotonic() - begin < 1
    timer.join()


# --- what it keeps


def test_the_stored_filter_is_cleared_for_good(make, model):
    bench = make(stored=Stored(allow=frozenset({0x7FF})), blink_s=0.2)
    clear_stored_filter(bench.channel)
    bench.device.power_off()
    bench.device.power_on()
    assert bench.device.stored == Stored()
    bus = bench.open()
    peer, _ = model.listener()
    peer.send(Frame(0x123))
    assert bus.recv(2).arbitration_id == 0x123


def test_opening_writes_nothing_to_the_flash_memory(make):
    stored = Stored(allow=frozenset({0x7FF}))
    bench = make(stored=stored)
    bench.open().shutdown()
    assert bench.device.stored.allow == {0x7FF}


@pytest.mark.parametrize("given_baud", [0, 2_000_000])
def test_another_baud_rate(make, given_baud):
    bench = make(blink_s=0.1)
    set_baud_rate(bench.channel, 115_200, given_baud)
    assert bench.device.stored.baud == 115_200
    assert bench.open(baud=115_200)._link.answers


def test_a_baud_rate_it_does_not_have(make):
    bench = make()
    with pytest.raises(can.CanInitializationError, match="no 57600 baud; it has 2000000"):
        set_baud_rate(bench.channel, 57_600)
    assert bench.device.requests == 0


def test_nothing_is_changed_where_nothing_answers(make, impatient):
    bench = make(answers_status=False, stored=Stored(block=frozenset({1})))
    for change in (lambda: clear_stored_filter(bench.channel), lambda: set_baud_rate(bench.channel, 9_600, 2_000_000)):
        with pytest.raises(can.CanInitializationError, match="nothing was changed"):
            change()
    assert bench.device.stored == Stored(block=frozenset({1}))


def test_no_port_to_change(tmp_path):
    with pytest.raises(can.CanInitializationError, match="No such file"):
        clear_stored_filter(str(tmp_path / "ttyUSB9"))
