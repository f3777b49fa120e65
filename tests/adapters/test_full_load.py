"""Both channels of a CANtact Pro full at 1 Mbit/s: nothing that the adapter delivered is lost on the way to a program.

On a busy computer the emulated adapter may run out of room, as a real one does: what it dropped itself is not ours.
"""

import threading

import pytest
from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.gs_usb_load import FULL_LOAD, FullLoad
from emulators.usb_backend import FakeBackend

from opendiag.adapters.gs_usb import GsUsbBus

SECONDS = 2.2


def numbers_of(bus, numbers, ended):
    """Receives until nothing has come for a while after the load ended."""
    while True:
        message = bus.recv(0.3)
        if message is not None:
            numbers.append(int.from_bytes(message.data, "little"))
        elif ended.is_set():
            return


@pytest.fixture
def device():
    device = GsUsbDevice(BusModel(), "pro", lifo=False)
    yield device
    device.unplug()


def test_both_channels_of_a_cantact_pro_at_full_load(device):
    backend = FakeBackend([device])
    buses = [GsUsbBus(f"0/{number}", bitrate=1_000_000, usb_backend=backend) for number in (0, 1)]
    received, ended = [[], []], threading.Event()
    threads = [
        threading.Thread(target=numbers_of, args=(bus, numbers, ended))
        for bus, numbers in zip(buses, received, strict=True)
    ]
    load = FullLoad(device, SECONDS)
    try:
        for thread in threads:
            thread.start()
        load.start()
        load.wait()
        ended.set()
        for thread in threads:
            thread.join(30)
        counters = [dict(bus.counters) for bus in buses]
    finally:
        ended.set()
        for bus in buses:
            bus.shutdown()
    assert load.offered == 2 * int(SECONDS * FULL_LOAD)
    assert load.delivered == load.offered - load.dropped
    missing = [{number for channel, number in load.missing if channel == each} for each in (0, 1)]
    wanted = [[number for number in range(load.offered // 2) if number not in missing[each]] for each in (0, 1)]
    for each in (0, 1):
        assert received[each] == wanted[each], f"channel {each}: {len(received[each])} of {len(wanted[each])}"
        assert counters[each]["lost"] == 0
    if load.late_s < 0.02:  # the generator itself was not held up
        assert load.dropped == 0, f"the adapter's memory ran full: {load.dropped} frames"
