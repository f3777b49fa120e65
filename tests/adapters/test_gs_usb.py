"""The gs_usb driver against emulated adapters: opening, both channels, modes, what is in the way, closing."""

import struct
import time

import can
import pytest
from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.gs_usb_load import FullLoad
from emulators.usb_backend import FakeBackend

from opendiag.adapters import gs_usb_find
from opendiag.adapters.gs_usb import GsUsbBus
from opendiag.adapters.gs_usb_codec import Request
from opendiag.frame import Frame

OUT, IN = 0x41, 0xC1
MODE_RESET = bytes(8)


class Desk:
    """Adapters of these kinds at one bus, and a peer that acknowledges."""

    def __init__(self):
        self.model = BusModel()
        self.peer, self.heard = self.model.listener()
        self.buses = []

    def put(self, *kinds, system="linux", **switches):
        self.devices = [GsUsbDevice(self.model, kind, label=f"{kind}{n}", **switches) for n, kind in enumerate(kinds)]
        self.device = self.devices[0]
        self.backend = FakeBackend(self.devices, system=system)
        self.plug = self.backend.plugs[0]
        return self.device

    def open(self, channel=0, **options):
        self.buses.append(GsUsbBus(channel, usb_backend=self.backend, **options))
        return self.buses[-1]

    def refused(self, channel=0, **options):
        with pytest.raises(can.CanInitializationError) as caught:
            self.open(channel, **options)
        return caught.value

    def requests(self, *wanted, channel=None):
        """(request, channel, data) of those sent so far."""
        return [
            (request, value, data)
            for kind, request, value, _, data in self.device.log
            if kind == OUT and request in wanted and channel in (None, value)
        ]

    def close(self):
        for bus in self.buses:
            bus.shutdown()
        assert self.backend.open_handles == self.backend.claims == 0
        assert all(plug.resets == 0 for plug in self.backend.plugs), "a reset stops the other channel too"
        assert not [text for device in self.devices for text in device.complaints]


@pytest.fixture
def desk():
    desk = Desk()
    yield desk
    desk.close()


def wait_for(condition, timeout_s=3.0):
    until = time.monotonic() + timeout_s
    while not (result := condition()):
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.002)
    return result


def message(can_id=0x123, data=b"\x11\x22", **more):
    return can.Message(arbitration_id=can_id, data=data, is_extended_id=False, **more)


ALL_KINDS = ["candlelight", "candlelight_fd", "cantact", "canable", "budgetcan", "pro", "cannectivity", "ces", "abe"]


@pytest.mark.parametrize("kind", ALL_KINDS)
@pytest.mark.parametrize("fd", [False, True])
def test_every_kind_sends_and_receives(desk, kind, fd):
    device = desk.put(kind)
    if fd and not device.kind.feature & 1 << 8:
        assert "cannot do CAN FD: open it without fd" in str(desk.refused(data_bitrate=2_000_000))
        return
    bus = desk.open(data_bitrate=2_000_000 if fd else None)
    bus.send(message())
    desk.peer.send(Frame(0x77, b"hello"))
    received = bus.recv(1)
    assert (received.arbitration_id, bytes(received.data), received.is_rx) == (0x77, b"hello", True)
    if fd:
        bus.send(message(data=bytes(range(48)), is_fd=True, bitrate_switch=True))
    wait_for(lambda: len(desk.heard) == 1 + fd)
    assert [bytes(frame.data) for frame in desk.heard] == [b"\x11\x22", bytes(range(48))][: 1 + fd]
    assert bus.recv(0) is None
    assert bus.protocol == (can.CanProtocol.CAN_FD if fd else can.CanProtocol.CAN_20)


def test_the_requests_are_those_of_the_kernel_in_its_order(desk):
    desk.put("cannectivity")
    desk.open("0/1", bitrate=500_000, data_bitrate=2_000_000).shutdown()
    start = desk.device.log.index((OUT, 0, 1, 0, b"\xef\xbe\x00\x00"))
    found = [(kind, request, value) for kind, request, value, *_ in desk.device.log[start:] if request != 14]
    assert found == [
        (OUT, Request.HOST_FORMAT, 1),
        (IN, Request.DEVICE_CONFIG, 1),
        (IN, Request.BT_CONST, 1),
        (IN, Request.BT_CONST_EXT, 1),
        (OUT, Request.MODE, 1),  # an earlier program may have been killed
        (IN, Request.TIMESTAMP, 1),
        (OUT, Request.BITTIMING, 1),
        (OUT, Request.DATA_BITTIMING, 1),
        (OUT, Request.MODE, 1),
        (OUT, Request.MODE, 1),
    ]
    timing, mode = desk.requests(Request.BITTIMING)[0][2], [data for *_, data in desk.requests(Request.MODE)]
    assert struct.unpack("<5I", timing) == (69, 70, 20, 10, 1)
    assert mode == [MODE_RESET, struct.pack("<II", 1, 0x110), MODE_RESET]


def test_a_device_that_a_killed_program_left_running_can_be_opened(desk):
    desk.put("candlelight")
    desk.device.control(OUT, Request.BITTIMING, 0, 0, struct.pack("<5I", 6, 7, 2, 1, 6))
    desk.device.control(OUT, Request.MODE, 0, 0, struct.pack("<II", 1, 0))
    for number in range(20):
        desk.peer.send(Frame(0x600 + number))
    bus = desk.open(bitrate=500_000)
    desk.peer.send(Frame(0x77))
    assert bus.recv(1).arbitration_id == 0x77


# --- both channels


@pytest.mark.parametrize("kind", ["pro", "cannectivity", "budgetcan"])
def test_both_channels_work_at_once_and_share_one_claim(desk, kind):
    """The gs_usb package knows channel 0 only, and its reset() in every start kills the other one."""
    desk.put(kind)
    buses = [desk.open("0"), desk.open("0/1")]
    assert desk.backend.claims == 1 and desk.backend.open_handles == 1
    for number, bus in enumerate(buses):
        bus.send(message(0x100 + number))
    wait_for(lambda: len(desk.heard) == 2)
    # Each hears the other, as both are on the same bus here.
    assert [bus.recv(1).arbitration_id for bus in buses] == [0x101, 0x100]
    assert [bus.recv(0) for bus in buses] == [None, None]


@pytest.mark.parametrize(("first", "second"), [(0, 1), (1, 0)])
def test_opening_and_closing_a_channel_never_touches_the_other(desk, first, second):
    desk.put("pro")
    one = desk.open(f"0/{first}")
    before = len(desk.requests(Request.MODE, Request.BITTIMING, 8, channel=first))
    other = desk.open(f"0/{second}", data_bitrate=2_000_000)
    other.send(message(0x200))
    other.shutdown()
    assert len(desk.requests(Request.MODE, Request.BITTIMING, 8, channel=first)) == before
    assert desk.device.channels[first].started and not desk.device.channels[second].started
    assert one.recv(1).arbitration_id == 0x200
    one.send(message(0x300))
    wait_for(lambda: [frame.can_id for frame in desk.heard] == [0x200, 0x300])
    desk.peer.send(Frame(0x400))
    assert one.recv(1).arbitration_id == 0x400


def test_the_same_channel_twice_is_refused_and_the_first_goes_on(desk):
    desk.put("pro")
    bus = desk.open("0/1")
    assert "channel 1 of CANtact Pro at USB 1-1.1 is open already in this program" in str(desk.refused("/1-1.1/1"))
    desk.peer.send(Frame(0x77))
    assert bus.recv(1).arbitration_id == 0x77
    assert desk.backend.claims == 1


def test_a_second_channel_that_cannot_be_opened_leaves_the_first_alone(desk):
    desk.put("pro")
    bus = desk.open("0/0")
    for wrong in ({"one_shot": True}, {"bitrate": 1_100_000}, {"data_bitrate": 5_000_000}, {"timing": "1,2"}):
        desk.refused("0/1", **wrong)
    assert not desk.device.channels[1].started
    desk.peer.send(Frame(0x77))
    assert bus.recv(1).arbitration_id == 0x77


def test_it_opens_again_and_again(desk):
    """ "Works once after plugging it in": the reset of other drivers makes handles stale."""
    desk.put("candlelight")
    for number in range(5):
        bus = desk.open()
        bus.send(message(number))
        bus.shutdown()
        bus.shutdown()
    assert [frame.can_id for frame in desk.heard] == list(range(5))


def test_another_program_has_no_second_channel(desk):
    desk.put("pro")
    desk.open("0/0")
    other = FakeBackend()
    other.plugs = desk.backend.plugs  # another program sees the same devices
    with pytest.raises(can.CanInitializationError, match="in use: another program has it open") as caught:
        GsUsbBus("0/1", usb_backend=other)
    assert caught.value.error_code == 16
    assert other.open_handles == 0


@pytest.mark.parametrize("kind", ["pro", "budgetcan"])
def test_both_channels_under_full_load_lose_nothing_that_was_delivered(desk, kind):
    """2 x 8500 frames a second, for a second; a CANtact Pro's last-in-first-out is set aside to see the order."""
    desk.put(kind, lifo=False, buffer=5000)
    buses = [desk.open(f"0/{number}", bitrate=1_000_000) for number in (0, 1)]
    load = FullLoad(desk.device, 1.0)
    load.start()
    load.wait()
    wait_for(lambda: not len(desk.device.pipe))
    assert load.offered == 17_000
    for number, bus in enumerate(buses):
        frames = []
        while batch := bus.take(0.2):
            frames += batch
        got = [int.from_bytes(frame.data, "little") for frame in frames]
        expected = [n for n in range(8500) if (number, n) not in load.missing]
        assert got == expected
        assert bus.counters["lost"] == 0
        times = [frame.time_ns for frame in frames]
        assert times == sorted(times)


# --- modes


@pytest.mark.parametrize(
    ("kind", "options", "flags"),
    [
        ("candlelight", {}, 0x10),
        ("candlelight", {"listen_only": True}, 0x11),
        ("candlelight", {"loopback": True}, 0x12),
        ("candlelight", {"one_shot": True}, 0x18),
        ("candlelight", {"loopback": True, "listen_only": True}, 0x13),
        ("candlelight_fd", {"data_bitrate": 2_000_000}, 0x1110),
        ("candlelight_fd", {"error_frames": False}, 0x10),
        ("pro", {}, 0),
        ("pro", {"fd": True, "data_bitrate": 2_000_000, "listen_only": True}, 0x101),
    ],
)
def test_the_start_has_the_flags_that_were_asked_for_and_the_adapter_has(desk, kind, options, flags):
    desk.put(kind)
    desk.open(**options)
    assert desk.device.channels[0].flags == flags


def test_triple_sampling_is_asked_for_where_it_is(desk):
    desk.put("candlelight", feature=0x1F)
    desk.open(triple_sampling=True)
    assert desk.device.channels[0].flags == 0x14


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"listen_only": True}, "cannot listen without acknowledging: open it without listen_only"),
        ({"loopback": True}, "cannot loop its own frames back: open it without loopback"),
        ({"one_shot": True}, "cannot send a frame only once"),
        ({"triple_sampling": True}, "cannot sample each bit three times"),
        ({"fd": True, "data_bitrate": 1_000_000}, "cannot do CAN FD"),
        ({"data_bitrate": 2_000_000}, "cannot do CAN FD"),
        ({"termination": True}, "has no termination that can be switched"),
    ],
)
def test_an_option_that_the_adapter_lacks_is_refused_before_anything_starts(desk, options, says):
    """python-can's driver accepts listen_only and fd, ignores them, and acknowledges the traffic."""
    desk.put("candlelight", feature=0x10)
    assert says in str(desk.refused(**options))
    assert not desk.requests(Request.MODE, Request.BITTIMING, Request.SET_TERMINATION)


def test_an_unknown_option_is_refused(desk):
    desk.put("candlelight")
    assert "gs_usb has no option bit_rate; it takes bitrate," in str(desk.refused(bit_rate=5))


def test_can_fd_needs_a_data_bit_rate(desk):
    desk.put("pro")
    assert "data_bitrate=2000000" in str(desk.refused(fd=True))


def test_listen_only_acknowledges_nothing_and_sends_nothing(desk):
    desk.put("candlelight")
    desk.model.detach(desk.peer)
    bus = desk.open(listen_only=True)
    lonely = desk.model.attach("lonely")
    desk.model.start(lonely)
    acknowledged = []
    lonely.send(Frame(0x10), acknowledged.append)
    assert acknowledged == []
    with pytest.raises(can.CanOperationError, match="opened to listen only"):
        bus.send(message())
    assert not desk.device.outs


def test_termination_is_set_before_the_start_and_can_be_switched(desk):
    desk.put("cannectivity")
    bus = desk.open("0/1", termination=True)
    assert [request for request, *_ in desk.requests(Request.SET_TERMINATION, Request.BITTIMING)] == [12, 1]
    assert desk.device.channels[1].termination and bus.termination()
    assert bus.termination(False) is False
    assert not desk.device.channels[1].termination


def test_termination_is_left_alone_unless_it_is_named(desk):
    desk.put("cannectivity")
    desk.open()
    assert not desk.requests(Request.SET_TERMINATION)


def test_identify_blinks_while_the_bus_is_open(desk):
    desk.put("pro")
    bus = desk.open("0/1")
    bus.identify(True)
    assert desk.device.channels[1].identifying
    bus.identify(False)
    assert not desk.device.channels[1].identifying
    with pytest.raises(can.CanOperationError, match="no termination"):
        bus.termination()


# --- bit timing


@pytest.mark.parametrize("rate", [10, 20, 50, 83.333, 100, 125, 250, 500, 800, 1000])
@pytest.mark.parametrize("kind", ["candlelight", "candlelight_fd", "pro", "cannectivity"])
def test_every_usual_rate_is_made_from_the_limits_of_the_device(desk, kind, rate):
    """python-can's driver has tables for 48 and 80 MHz, and cannot do 10, 20 and 50 kbit/s."""
    desk.put(kind)
    bus = desk.open(bitrate=round(rate * 1000))
    assert bus.timing.bit_rate == pytest.approx(rate * 1000, rel=0.005)
    assert desk.device.channels[0].tap.bit_rate == round(rate * 1000)


def test_explicit_timing_and_sample_points_are_passed_on(desk):
    desk.put("pro")
    bus = desk.open(timing="3,5,6,4,2", data_timing="1,4,4,3,1")
    assert desk.device.channels[0].timing == (5, 6, 4, 2, 3)
    assert desk.device.channels[0].data_timing == (4, 4, 3, 1, 1)
    assert bus.timing.sample_point == 0.75
    bus.shutdown()
    bus = desk.open(sample_point=0.75, data_bitrate=1_000_000, data_sample_point=0.5)
    assert (bus.timing.sample_point, bus.data_timing.sample_point) == (0.75, 0.5)


def test_timing_objects_of_python_can_are_taken(desk):
    desk.put("pro")
    bus = desk.open(timing=can.BitTiming(f_clock=24_000_000, brp=3, tseg1=13, tseg2=2, sjw=1))
    assert desk.device.channels[0].timing == (6, 7, 2, 1, 3)
    bus.shutdown()
    both = can.BitTimingFd(24_000_000, 3, 13, 2, 1, 1, 8, 3, 2)
    desk.open(timing=both)
    assert desk.device.channels[0].timing == (6, 7, 2, 1, 3)
    assert desk.device.channels[0].data_timing == (4, 4, 3, 2, 1)
    assert desk.device.channels[0].flags == 0x100


def test_a_timing_for_another_clock_is_refused(desk):
    desk.put("pro")
    timing = can.BitTiming(f_clock=8_000_000, brp=1, tseg1=13, tseg2=2, sjw=1)
    assert "has a clock of 24 MHz, and the timing is for 8 MHz" in str(desk.refused(timing=timing))


def test_a_rate_that_is_missed_by_more_than_half_a_percent_must_be_forced(desk):
    """5 Mbit/s of data are 4.8 from the 24 MHz of a CANtact Pro."""
    desk.put("pro")
    assert "4.8 Mbit/s" in str(desk.refused(data_bitrate=5_000_000))
    bus = desk.open(data_bitrate=5_000_000, force_bitrate=True)
    assert bus.data_timing.bit_rate == 4_800_000
    assert "the bit rate is 4800000 in place of 5000000 bit/s" in next(f.sentence for f in bus.findings())


# --- the CANtact Pro's quirks


def test_a_cantact_pro_gets_its_data_timing_with_request_8_and_padded_frames(desk):
    desk.put("pro")
    bus = desk.open(data_bitrate=2_000_000)
    assert desk.requests(8) == [(8, 0, struct.pack("<5I", 4, 4, 3, 1, 1))]
    assert not desk.requests(10)
    bus.send(message())
    bus.send(message(data=bytes(64), is_fd=True))
    bus.shutdown()
    desk.open().send(message())
    assert [len(out) for out in desk.device.outs] == [77, 77, 21]


@pytest.mark.parametrize(
    "switches",
    [
        {"sw_version": 3},
        {"maker": "linklayer labs"},
        {"name": "CANtact Pro 2"},
        {"product": 0x6070},
        {"vendor": 0x1209, "product": 0x2323},
    ],
)
def test_the_quirks_are_gated_by_exactly_the_kernels_test(desk, switches):
    desk.put("pro", data_timing_request=10, **switches)
    bus = desk.open(data_bitrate=2_000_000)
    assert len(desk.requests(10)) == 1 and not desk.requests(8)
    bus.send(message())
    assert len(desk.device.outs[0]) == 76


def test_frames_are_padded_for_whoever_announces_the_erratum(desk):
    desk.put("candlelight", feature=0x213)
    desk.open().send(message())
    assert len(desk.device.outs[0]) == 21


def test_a_damaged_echo_id_is_a_received_frame(desk):
    """Erratum USB.15: after an OUT transfer of 20 or 76 bytes the first byte of the next IN packet is zero."""
    desk.put("pro")
    bus = desk.open()
    desk.device.pipe.zero_next = True
    desk.peer.send(Frame(0x321, b"x"))
    assert bus.recv(1).arbitration_id == 0x321
    assert bus.counters["repaired_echo_ids"] == 1
    assert bus.counters["unexpected_echoes"] == 0


def test_what_a_cantact_pro_cannot_tell_is_unknown_and_said(desk):
    desk.put("pro")
    bus = desk.open()
    assert (bus.bus_state, bus.tx_errors, bus.rx_errors) == (None, None, None)
    assert [finding.code for finding in bus.findings()] == ["adapter-mute"]


def test_a_burst_does_not_overwrite_the_transmit_buffers_of_a_cantact_pro(desk):
    """It echoes at once, whether the buffer was free or not: the slots are paced by the bit rate."""
    desk.put("pro")
    bus = desk.open(bitrate=500_000)
    began = time.monotonic()
    for number in range(40):
        bus.send(message(data=number.to_bytes(8, "big")))
    assert time.monotonic() - began > 30 * 100 / 500_000
    wait_for(lambda: len(desk.heard) == 40)
    assert [int.from_bytes(frame.data, "big") for frame in desk.heard] == list(range(40))


# --- descriptors


def test_endpoints_are_those_of_the_descriptors(desk):
    """CANnectivity has two OUT endpoints, and an IN of another number is possible."""
    desk.put("cannectivity")
    assert desk.device.kind.out_endpoints == (1, 2)
    bus = desk.open()
    bus.send(message())
    wait_for(lambda: desk.heard)
    bus.shutdown()
    desk.put("candlelight", out_endpoints=(0x03,))
    desk.open().send(message(0x222))
    wait_for(lambda: len(desk.heard) == 2)


def test_an_interface_without_bulk_endpoints_is_a_sentence(desk):
    desk.put("candlelight", out_endpoints=())
    assert "no pair of bulk endpoints" in str(desk.refused())


# --- the kernel's driver


def test_an_adapter_that_linux_has_is_not_taken_from_it(desk, monkeypatch):
    desk.put("candlelight")
    desk.plug.kernel_bound = True
    monkeypatch.setattr(gs_usb_find, "_kernel_interfaces", lambda device, path: ("can0",))
    failure = desk.refused()
    assert "Linux has made can0 of it: use -i socketcan:can0, or add ?detach_kernel_driver=yes" in str(failure)
    assert failure.error_code == 16
    assert desk.plug.kernel_bound and not desk.requests(Request.MODE)


def test_the_kernel_driver_is_detached_when_asked_and_attached_again(desk):
    desk.put("candlelight")
    desk.plug.kernel_bound = True
    bus = desk.open(detach_kernel_driver=True)
    assert not desk.plug.kernel_bound
    bus.send(message())
    bus.shutdown()
    assert desk.plug.kernel_bound
    assert desk.backend.open_handles == desk.backend.claims == 0


def test_attaching_the_kernel_driver_may_change_the_address(desk):
    desk.put("candlelight")
    desk.plug.kernel_bound = True
    desk.backend.readdress_on_attach = True
    desk.open(detach_kernel_driver=True).shutdown()
    desk.open(detach_kernel_driver=True).send(message())
    wait_for(lambda: desk.heard)


def test_the_kernel_driver_is_not_attached_unless_we_detached_it(desk, monkeypatch):
    desk.put("candlelight")
    attached = []
    monkeypatch.setattr(desk.backend, "attach_kernel_driver", lambda handle, interface: attached.append(interface))
    desk.open(detach_kernel_driver=True).shutdown()
    assert attached == []


def test_the_kernel_driver_is_attached_again_when_opening_fails(desk):
    desk.put("candlelight")
    desk.plug.kernel_bound = True
    desk.refused(detach_kernel_driver=True, bitrate=1_100_000)
    assert desk.plug.kernel_bound


@pytest.mark.parametrize("system", ["windows", "macos"])
def test_where_no_kernel_driver_can_be_asked_for_there_is_none(desk, system):
    desk.put("candlelight", system=system)
    bus = desk.open()
    time.sleep(0.25)  # time-outs have another number there
    desk.peer.send(Frame(0x77))
    assert bus.recv(1).arbitration_id == 0x77


def test_another_program_is_said(desk):
    desk.put("candlelight")
    desk.plug.busy = True
    failure = desk.refused()
    assert "another program has it open" in str(failure)
    assert failure.error_code == 16


# --- closing


def test_closing_stops_the_channel_then_releases_and_never_opens_again(desk, monkeypatch):
    """python-can's shutdown scans, opens and starts the device once more, in normal mode."""
    desk.put("candlelight")
    desk.plug.kernel_bound = True
    bus = desk.open(detach_kernel_driver=True)
    done = []
    for name in ("ctrl_transfer", "release_interface", "close_device", "attach_kernel_driver", "claim_interface"):
        original = getattr(desk.backend, name)

        def spy(*arguments, _name=name, _original=original):
            done.append((_name, arguments[2] if _name == "ctrl_transfer" else None))
            return _original(*arguments)

        monkeypatch.setattr(desk.backend, name, spy)
    bus.shutdown()
    assert [step for step in done if step != ("ctrl_transfer", Request.GET_STATE)] == [
        ("ctrl_transfer", Request.MODE),
        ("release_interface", None),
        ("close_device", None),
        ("attach_kernel_driver", None),
        ("close_device", None),
    ]
    assert desk.requests(Request.MODE)[-1] == (Request.MODE, 0, MODE_RESET)
