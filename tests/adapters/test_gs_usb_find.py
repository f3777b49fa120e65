"""Finding gs_usb adapters: what is here, which one is meant, and what is said when it cannot be used."""

import can
import pytest
import usb.core
from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.usb_backend import FakeBackend

from opendiag.adapters import gs_usb_find
from opendiag.adapters.gs_usb import GsUsbBus
from opendiag.adapters.gs_usb_find import choose, find_devices, identify, termination

VENDOR_OUT, VENDOR_IN = 0x41, 0xC1
USER_ID_OR_DATA_TIMING = 8


@pytest.fixture
def model():
    return BusModel()


@pytest.fixture
def put(model):
    """put("pro", "candlelight") plugs them into the ports 1-1.1, 1-1.2 ... of a computer."""
    devices = []

    def put(*kinds, **switches):
        made = [GsUsbDevice(model, kind, label=f"{kind}{number}", **switches) for number, kind in enumerate(kinds)]
        devices.extend(made)
        backend = FakeBackend(made)
        backend.devices = made
        return backend

    yield put
    for device in devices:
        assert not device.complaints


def put_dfu(backend, model, vendor=0x0483, product=0xDF11):
    backend.plug(GsUsbDevice(model, "candlelight", vendor=vendor, product=product), (4,))


def refused(backend, channel, family="gs_usb"):
    with pytest.raises(can.CanInitializationError) as caught:
        choose(channel, family, backend)
    return str(caught.value)


@pytest.mark.parametrize(
    ("kind", "name", "family", "channels", "clock_mhz", "fd"),
    [
        ("candlelight", "candleLight", "candlelight", 1, 48, False),
        ("candlelight_fd", "candleLight", "candlelight", 1, 40, True),
        ("cantact", "CANtact", "cantact", 1, 48, False),
        ("canable", "CANable", "candlelight", 1, 48, False),
        ("pro", "CANtact Pro", "cantact", 2, 24, True),
        ("cannectivity", "CANnectivity", "candlelight", 2, 80, True),
        ("budgetcan", "budgetcan gs_usb", "candlelight", 2, 40, True),
        ("ces", "CES CANext FD", "candlelight", 1, 40, True),
        ("abe", "ABE CANdebugger FD", "candlelight", 1, 40, True),
        ("xylanta", "Xylanta SAINT3", "candlelight", 1, 40, True),
    ],
)
def test_every_kind_is_found_and_described(put, kind, name, family, channels, clock_mhz, fd):
    (info,) = find_devices(put(kind))
    assert (info.kind, info.family, info.channels, info.fd) == (name, family, channels, fd)
    assert info.clock_hz == clock_mhz * 1_000_000
    assert (info.path, info.bus, info.sw_version, info.hw_version) == ("1-1.1", 1, 2, 1)
    assert info.accessible and not info.problem and not info.kernel_driver
    assert (info.serial is None) == (kind == "pro")


def test_finding_claims_starts_and_resets_nothing_and_leaves_nothing_open(put):
    backend = put("pro", "candlelight_fd", "cannectivity")
    find_devices(backend)
    for device in backend.devices:
        assert {request for _, request, *_ in device.log} <= {4, 5, 11}
        assert all(kind == VENDOR_IN for kind, *_ in device.log)
    assert backend.open_handles == backend.claims == 0
    assert all(plug.resets == 0 for plug in backend.plugs)


def test_a_cantact_pro_is_never_asked_for_its_user_id(put):
    """Its firmware takes request 8 for the data bit timing, and an IN request makes it read through a null pointer."""
    backend = put("pro")
    find_devices(backend)
    GsUsbBus("0/1", data_bitrate=2_000_000, usb_backend=backend).shutdown()
    device = backend.devices[0]
    assert not [entry for entry in device.log if entry[:2] == (VENDOR_IN, USER_ID_OR_DATA_TIMING)]
    assert not device.damaged


# --- which one


def test_two_identical_cantact_pros_are_told_apart_by_their_place(put):
    backend = put("pro", "pro")
    for place, number in (("/1-1.1", 0), ("/1-1.2", 0), ("/1-1.1/1", 1), ("/1-1.2/1", 1)):
        info, channel = choose(place, "cantact", backend)
        assert (f"/{info.path}", channel) == (place[:6], number)
        assert info.channel_name(channel) == place
    bus = GsUsbBus("/1-1.2/1", usb_backend=backend)
    bus.shutdown()
    assert [request for _, request, value, *_ in backend.devices[1].log if request == 2 and value == 1] == [2, 2, 2]
    assert not [entry for entry in backend.devices[0].log if entry[1] == 2]


def test_an_adapter_is_chosen_by_index_serial_number_and_place(put):
    backend = put("candlelight", "cannectivity", "pro")
    serial = backend.devices[1].kind.serial
    for channel, path, number in (
        (0, "1-1.1", 0),
        ("0", "1-1.1", 0),
        ("", "1-1.1", 0),
        (1, "1-1.2", 0),
        ("1/1", "1-1.2", 1),
        (serial, "1-1.2", 0),
        (f"{serial}/1", "1-1.2", 1),
        ("/1-1.3/1", "1-1.3", 1),
        ("2/1", "1-1.3", 1),
    ):
        info, found = choose(channel, "gs_usb", backend)
        assert (info.path, found) == (path, number), channel


def test_an_index_counts_within_the_kind_that_was_named(put):
    backend = put("candlelight", "pro", "canable", "cantact")
    assert [choose(n, "cantact", backend)[0].kind for n in (0, 1)] == ["CANtact Pro", "CANtact"]
    assert [choose(n, "candlelight", backend)[0].kind for n in (0, 1)] == ["candleLight", "CANable"]
    assert [choose(n, "gs_usb", backend)[0].path for n in range(4)] == ["1-1.1", "1-1.2", "1-1.3", "1-1.4"]


def test_firmware_of_2020_is_a_cantact_by_its_product_number(put):
    backend = put("pro", product=0x6070, maker="", name="")
    info, _ = choose("0/1", "cantact", backend)
    assert info.kind == "CANtact Pro"
    assert not info.is_cantact_pro_2


def test_the_order_is_that_of_the_ports_not_of_plugging_in(put):
    backend = put("candlelight", "pro")
    backend.replug(backend.devices[0])
    assert [info.kind for info in find_devices(backend)] == ["candleLight", "CANtact Pro"]


def test_who_is_not_there_is_told_who_is(put):
    backend = put("candlelight", "pro")
    serial = backend.devices[0].kind.serial
    here = f"here are 0: /1-1.1 candleLight, serial {serial}; 1: /1-1.2 CANtact Pro"
    assert refused(backend, "ABCDEF") == f"there is no gs_usb adapter with the serial number ABCDEF; {here}"
    assert refused(backend, 2) == f"there is no gs_usb adapter number 2; {here}"
    assert refused(backend, "/1-9") == f"there is no gs_usb adapter at /1-9; {here}"
    assert "there is no cantact adapter number 1; here are 0: /1-1.2 CANtact Pro" in refused(backend, 1, "cantact")


def test_a_channel_that_does_not_exist_is_refused_with_those_that_do(put):
    backend = put("candlelight", "pro")
    assert refused(backend, "0/1").endswith("has one channel, 0; there is no channel 1")
    assert refused(backend, "1/2").endswith("has the channels 0 to 1; there is no channel 2")


@pytest.mark.parametrize("channel", ["0/x", "0/-1", "/", "/1-1.1/x", "0/1/2"])
def test_a_channel_that_makes_no_sense_is_refused_with_an_example(put, channel):
    assert "/1-2.3/1" in refused(put("pro"), channel)


def test_a_serial_number_that_two_have_is_no_choice(put):
    assert "choose by place, /1-1.1 or /1-1.2" in refused(put("canable", "canable"), "001D00395642500E20363439")


def test_nothing_here_is_said(put):
    assert "there is no cantact adapter here: is it plugged in?" in refused(put("candlelight"), 0, "cantact")


@pytest.mark.parametrize(("vendor", "product"), [(0x0483, 0xDF11), (0x1209, 0xCA02)])
def test_an_adapter_in_its_boot_loader_is_said(put, model, vendor, product):
    backend = put()
    put_dfu(backend, model, vendor, product)
    sentence = refused(backend, 0)
    assert "boot loader (DFU) at USB 1-4" in sentence and "plug it in again" in sentence


def test_an_unknown_kind_of_adapter_is_refused(put):
    with pytest.raises(can.CanInitializationError, match="gs_usb, cantact, candlelight"):
        GsUsbBus(0, device="pcan", usb_backend=put("pro"))


def test_every_channel_is_offered_to_python_can(put, monkeypatch):
    backend = put("candlelight", "pro")
    monkeypatch.setattr(gs_usb_find, "usb_backend", lambda: backend)
    assert GsUsbBus._detect_available_configs() == [
        {"interface": "opendiag_gs_usb", "channel": "/1-1.1"},
        {"interface": "opendiag_gs_usb", "channel": "/1-1.2"},
        {"interface": "opendiag_gs_usb", "channel": "/1-1.2/1"},
    ]


# --- what is in the way


def test_without_libusb_the_sentence_says_what_to_install(monkeypatch):
    """python-can's gs_usb ends in NoBackendError, as Windows and macOS bring no libusb."""
    monkeypatch.setattr(gs_usb_find, "usb_backend", lambda: None)
    assert refused(None, 0) == "libusb is not installed: pip install libusb-package"
    assert GsUsbBus._detect_available_configs() == []


def test_without_permission_the_sentence_names_the_udev_rules(put):
    backend = put("candlelight")
    backend.plugs[0].denied = True
    (info,) = find_devices(backend)
    assert not info.accessible
    with pytest.raises(can.CanInitializationError, match="no permission to use it: `opendiag udev`") as caught:
        GsUsbBus(0, usb_backend=backend)
    assert caught.value.error_code == 13


def test_without_permission_linux_tells_the_names(put, tmp_path, monkeypatch):
    backend = put("pro")
    backend.plugs[0].denied = True
    place = tmp_path / "1-1.1"
    place.mkdir()
    for name, text in {"busnum": 1, "devnum": backend.plugs[0].address, "product": "CANtact Pro"}.items():
        (place / name).write_text(f"{text}\n")
    monkeypatch.setattr(gs_usb_find, "SYS_USB", tmp_path)
    (info,) = find_devices(backend)
    assert (info.kind, info.product, info.serial) == ("CANtact Pro", "CANtact Pro", None)
    (place / "devnum").write_text("99")
    assert find_devices(backend)[0].product is None


def test_an_adapter_without_readable_names_may_be_of_any_kind(put):
    backend = put("pro")
    backend.plugs[0].denied = True
    assert len(find_devices(backend, "cantact")) == len(find_devices(backend, "candlelight")) == 1


def test_another_driver_of_windows_is_said(put, monkeypatch):
    """libusb-win32, which old instructions recommend: every request ends in LIBUSB_ERROR_NOT_SUPPORTED."""
    backend = put("candlelight")

    def not_supported(dev):
        raise NotImplementedError("Operation not supported or unimplemented on this platform")

    monkeypatch.setattr(backend, "open_device", not_supported)
    assert "give it WinUSB with Zadig" in refused(backend, 0)


def test_linux_interfaces_of_an_adapter_come_in_the_order_of_its_channels(put, tmp_path, monkeypatch):
    backend = put("pro")
    backend.plugs[0].kernel_bound = True
    net = tmp_path / "1-1.1" / "1-1.1:1.0" / "net"
    for name, number in (("can2", 1), ("can5", 0)):
        (net / name).mkdir(parents=True)
        (net / name / "dev_id").write_text(f"0x{number}\n")
    (tmp_path / "1-1.1" / "busnum").write_text("1\n")
    (tmp_path / "1-1.1" / "devnum").write_text(f"{backend.plugs[0].address}\n")
    monkeypatch.setattr(gs_usb_find, "SYS_USB", tmp_path)
    (info,) = find_devices(backend)
    assert info.kernel_driver and info.kernel_interfaces == ("can5", "can2")
    assert info.accessible, "what it is can be read while Linux has it"


def test_pulled_between_finding_and_opening_is_said(put):
    backend = put("candlelight")
    backend.plugs[0].vanishes = True
    with pytest.raises(can.CanInitializationError, match="unplugged just now"):
        GsUsbBus(0, usb_backend=backend)
    assert backend.open_handles == backend.claims == 0


def test_junk_for_an_answer_is_a_sentence(put, monkeypatch):
    backend = put("pro")
    device = backend.devices[0]
    monkeypatch.setattr(device, "_answer", lambda request, value, length: b"\xff" * length)
    assert "does not answer as a gs_usb adapter does" in refused(backend, 0)


def test_a_usb_error_while_looking_is_a_sentence(put, monkeypatch):
    backend = put("pro")

    def fails():
        raise usb.core.USBError("Input/Output Error", -1, 5)

    monkeypatch.setattr(backend, "enumerate_devices", fails)
    assert refused(backend, 0).startswith("USB cannot be looked at")


# --- without opening a bus


def test_identify_blinks_while_linux_has_the_adapter(put):
    backend = put("pro")
    backend.plugs[0].kernel_bound = True
    (info,) = find_devices(backend)
    identify(info, True)
    assert backend.devices[0].channels[0].identifying
    identify(info, False)
    assert not backend.devices[0].channels[0].identifying
    assert backend.open_handles == backend.claims == 0


def test_identify_is_asked_only_of_those_who_can(put):
    for switches, says in (({"feature": 0x1F}, "cannot blink"), ({"sw_version": 1}, "too old to blink")):
        (info,) = find_devices(put("candlelight", **switches))
        with pytest.raises(can.CanOperationError, match=says):
            identify(info, True)


def test_termination_is_switched_and_read_per_channel(put):
    backend = put("cannectivity")
    (info,) = find_devices(backend)
    assert [termination(info, n) for n in (0, 1)] == [False, False]
    assert termination(info, 1, True) is True
    assert [channel.termination for channel in backend.devices[0].channels] == [False, True]
    assert termination(info, 1, False) is False
    with pytest.raises(can.CanOperationError, match="no channel 2"):
        termination(info, 2)


def test_termination_is_asked_only_of_those_who_have_it(put):
    (info,) = find_devices(put("pro"))
    with pytest.raises(can.CanOperationError, match="cannot switch its termination"):
        termination(info, 0, True)


def test_a_request_to_an_adapter_that_was_pulled_is_an_error(put):
    backend = put("cannectivity")
    (info,) = find_devices(backend)
    backend.unplug(backend.devices[0])
    for request in (lambda: identify(info, True), lambda: termination(info, 0)):
        with pytest.raises(can.CanOperationError, match="unplugged"):
            request()
