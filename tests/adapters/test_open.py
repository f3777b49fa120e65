"""From a name to a bus, and every way in which that fails: a sentence that says what to do."""

from __future__ import annotations

import errno
import gc
import inspect
import logging
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import can
import pytest

from opendiag.adapters import drivers, linux_can
from opendiag.adapters import open as opening
from opendiag.adapters.linux_can import CanLink
from opendiag.adapters.open import actual_bit_rate, interface_notes, open_bus
from opendiag.adapters.uri import ADAPTERS, parse_interface
from opendiag.errors import AdapterNotFound, BadInterface, MissingDependency

WAIT_S = 5.0
#: These open on any computer that has their libraries.
NEED_NOTHING = {ADAPTERS["virtual"], ADAPTERS["udp_multicast"]}


class Recorder:
    """In place of a python-can bus: remembers what it was made with, or fails."""

    made: dict[str, Any]
    failure: BaseException | None = None

    def __init__(
        self,
        channel: str = "none",
        bitrate: int = 500_000,
        rtscts: bool = False,
        sleep_after_open: float = 2.0,
        ttyBaudrate: int = 115200,
        device_id: int | None = None,
        app_name: str = "x",
        receive_own_messages: bool = True,
        **kwargs: Any,
    ) -> None:
        values = {name: value for name, value in locals().items() if name not in ("self", "kwargs")}
        type(self).made = {**values, **kwargs}
        if self.failure:
            raise self.failure


class OurRecorder(Recorder):
    """In place of a driver of our own."""

    def __init__(
        self,
        channel: int | str,
        *,
        bitrate: int = 500_000,
        listen_only: bool = False,
        receive_own_messages: bool = False,
        can_filters: Any = None,
        reconnect_s: float = 0.0,
        data_bitrate: int | None = None,
        sample_point: float | None = None,
        timing: str = "",
        device: str = "",
        usb_backend: Any = None,
        **other: Any,
    ) -> None:
        values = {name: value for name, value in locals().items() if name not in ("self", "other", "__class__")}
        type(self).made = {**values, **other}
        if self.failure:
            raise self.failure


@pytest.fixture
def recorder(monkeypatch: pytest.MonkeyPatch) -> type[Recorder]:
    """All drivers are installed, and are this."""

    class Made(Recorder):
        pass

    monkeypatch.setattr(opening, "_bus_class", lambda interface, driver: Made)
    monkeypatch.setattr(drivers, "installed", lambda module: True)
    return Made


@pytest.fixture
def ours(monkeypatch: pytest.MonkeyPatch) -> type[OurRecorder]:
    """All drivers are installed, and are this one."""

    class Made(OurRecorder):
        pass

    monkeypatch.setattr(opening, "_bus_class", lambda interface, driver: Made)
    monkeypatch.setattr(drivers, "installed", lambda module: True)
    return Made


def opened(text: str, **more: bool) -> can.BusABC:
    return open_bus(parse_interface(text), **more)


def refused(text: str, **more: bool) -> str:
    with pytest.raises(BadInterface) as error:
        opened(text, **more)
    return error.value.reason


def not_found(text: str) -> str:
    with pytest.raises(AdapterNotFound) as error:
        opened(text)
    return error.value.reason


# --- what opens ------------------------------------------------------------------------------------------------------


def test_a_virtual_bus_does_not_hear_itself() -> None:
    with opened("virtual:test_open?rx_queue_size=5") as one, opened("virtual:test_open@500k") as other:
        one.send(can.Message(arbitration_id=5, is_extended_id=False))
        message = other.recv(WAIT_S)
        assert message is not None and message.arbitration_id == 5
        assert one.recv(0) is None


def test_what_the_driver_is_told(recorder: type[Recorder]) -> None:
    opened("robotell:COM3@250k?rtscts=yes&sleep_after_open=0.1&ttybaudrate=9600&device-id=0&app_name=5")
    assert recorder.made == {
        "channel": "COM3",
        "bitrate": 250_000,
        "rtscts": True,
        "sleep_after_open": 0.1,
        "ttyBaudrate": 9600,
        "device_id": 0,
        "app_name": "5",
        "receive_own_messages": False,
    }


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("cantact:1@1M", {"channel": "1", "bitrate": 1_000_000, "listen_only": True, "device": "cantact"}),
        ("slcan:COM3@500k", {"channel": "COM3", "listen_only": True}),
        ("usbcan:COM3@500k", {"channel": "COM3", "listen_only": True}),
        ("pcan:PCAN_USBBUS1@500k", {"channel": "PCAN_USBBUS1", "state": can.BusState.PASSIVE}),
        ("kvaser:0@500k?accept_virtual=1", {"channel": 0, "driver_mode": False, "accept_virtual": True}),
        ("vector:0@500k", {"channel": 0, "listen_only": True}),
    ],
)
def test_listening_only(recorder: type[Recorder], text: str, told: dict[str, object]) -> None:
    opened(text, listen_only=True)
    assert recorder.made.items() >= told.items()
    opened(text)
    silent = told.keys() - {"channel", "bitrate", "accept_virtual", "device"}
    assert not recorder.made.keys() & silent


def test_a_driver_that_cannot_be_silent_is_not_opened_as_if_it_were(recorder: type[Recorder]) -> None:
    assert "ixxat cannot be told to listen only" in refused("ixxat:0@500k", listen_only=True)


@pytest.mark.parametrize("adapter", ["gs_usb", "cantact", "candlelight"])
@pytest.mark.parametrize("channel", ["0", "0/1", "1234ABCD/1", "/1-2.3/1"])
def test_which_usb_adapter_and_which_of_its_channels(ours: type[OurRecorder], adapter: str, channel: str) -> None:
    opened(f"{adapter}:{channel}@83.3k")
    assert ours.made["channel"] == channel
    assert (ours.made["device"], ours.made["bitrate"]) == (adapter, 83_300)
    assert ours.made["receive_own_messages"] is False


def test_options_of_our_own_drivers(ours: type[OurRecorder]) -> None:
    opened("cantact:0@500k?data-bitrate=5M&sample_point=0.8&timing=1,6,7,2&listen_only=yes&reconnect_s=inf")
    wanted = {"data_bitrate": 5_000_000, "sample_point": 0.8, "timing": "1,6,7,2", "listen_only": True}
    assert ours.made.items() >= {**wanted, "reconnect_s": float("inf")}.items()


def test_identifiers_may_be_hexadecimal_in_options() -> None:
    bus_class = pytest.importorskip("opendiag.adapters.usbcan").UsbCanBus
    interface = parse_interface("usbcan:COM3@500k?filter_id=0x181&filter_mask=2047")
    made = drivers.arguments(interface, drivers.driver_of(interface), bus_class, listen_only=False)
    assert (made["filter_id"], made["filter_mask"]) == (0x181, 2047)


@pytest.mark.parametrize(
    ("adapter", "name"),
    [
        ("gs_usb:0", "opendiag.adapters.gs_usb:GsUsbBus"),
        ("cantact:0", "opendiag.adapters.gs_usb:GsUsbBus"),
        ("candlelight:0", "opendiag.adapters.gs_usb:GsUsbBus"),
        ("usbcan:COM3", "opendiag.adapters.usbcan:UsbCanBus"),
        ("slcan:COM3", "opendiag.adapters.slcan:SlcanBus"),
    ],
)
def test_our_own_drivers_are_taken_in_place_of_python_cans(adapter: str, name: str) -> None:
    module, _, attribute = name.partition(":")
    pytest.importorskip(module)
    interface = parse_interface(adapter)
    bus_class = opening._bus_class(interface, drivers.driver_of(interface))
    assert (bus_class.__module__, bus_class.__name__) == (module, attribute)
    assert issubclass(bus_class, can.BusABC)


def test_what_a_command_asks_for_counts_more_than_the_name(ours: type[OurRecorder]) -> None:
    opened("slcan:COM3@500k?listen_only=no", listen_only=True)
    assert ours.made["listen_only"] is True


def test_a_plug_in_is_opened_by_its_name(recorder: type[Recorder], monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (drivers, sys.modules["opendiag.adapters.uri"]):
        monkeypatch.setattr(module, "plugins", lambda: frozenset({"acme"}))
    opened("acme:7")
    assert (recorder.made["channel"], recorder.made["bitrate"]) == ("7", 500_000), "its own default"


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("slcan:COM3", "no bit rate: expected one, as in slcan:COM3@500k"),
        ("cantact:/1-2/1", "no bit rate: expected one, as in cantact:/1-2/1@500k"),
        ("robotell:COM3@500k?rtsct=1", "robotell has no option rtsct: did you mean rtscts?"),
        ("robotell:COM3@500k?zz=1", "robotell has no option zz; it takes app_name, device_id, rtscts"),
        ("robotell:COM3@500k?bitrate=5", "robotell has no option bitrate"),
        ("robotell:COM3@500k?receive_own_messages=1", "robotell has no option receive_own_messages"),
        ("robotell:COM3@500k?rtscts=maybe", "option rtscts is 'maybe': expected yes or no"),
        ("robotell:COM3@500k?ttybaudrate=fast", "option ttybaudrate is 'fast': expected a whole number"),
        ("robotell:COM3@500k?sleep_after_open=x", "option sleep_after_open is 'x': expected a number"),
        ("kvaser:zero@500k", "'zero' is no channel of kvaser: expected a number, as in kvaser:0@500k"),
        ("sim:stepim", "a simulated bus is not opened through python-can"),
    ],
)
def test_what_makes_no_sense_is_refused(recorder: type[Recorder], text: str, reason: str) -> None:
    assert reason in refused(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("socketcan:can0?sleep_after_open=1", "socketcan has no option sleep_after_open"),
        ("virtual:x?protocol=1", "virtual has no option protocol"),
    ],
)
def test_python_cans_own_limits(monkeypatch: pytest.MonkeyPatch, text: str, reason: str) -> None:
    monkeypatch.setattr(drivers, "installed", lambda module: True)
    assert reason in refused(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("gs_usb:0@500k?index=1", "gs_usb has no option index"),
        ("slcan:COM3@500k?ttyBaudrate=9600", "slcan has no option ttybaudrate; it takes"),
        ("cantact:0@500k?sample_pont=0.8", "cantact has no option sample_pont: did you mean sample_point?"),
        ("cantact:0@500k?bitrate=5", "cantact has no option bitrate"),
        ("cantact:0@500k?device=candlelight", "cantact has no option device"),
        ("cantact:0@500k?usb_backend=x", "cantact has no option usb_backend"),
        ("cantact:0@500k?other=x", "cantact has no option other"),
        ("cantact:0@500k?sample_point=x", "option sample_point is 'x': expected a number"),
        ("cantact:0@500k?data_bitrate=9M", "9M is no bit rate of CAN FD data: expected 5k to 8M"),
        ("cantact:0@500k?data_bitrate=fast", "'fast' is no bit rate: expected 5k to 8M, such as 2M"),
        ("cantact:0@500k?listen_only=maybe", "option listen_only is 'maybe': expected yes or no"),
    ],
)
def test_options_that_our_own_drivers_do_not_have(ours: type[OurRecorder], text: str, reason: str) -> None:
    assert reason in refused(text)


@pytest.mark.parametrize(
    ("failure", "error", "sentence"),
    [
        (
            can.CanInitializationError("there is no cantact adapter 3; here are 0: CANtact Pro", errno.ENODEV),
            AdapterNotFound,
            "cannot open cantact:3@500k: there is no cantact adapter 3; here are 0: CANtact Pro",
        ),
        (
            can.CanInitializationError("no permission: a udev rule has to", errno.EACCES),
            AdapterNotFound,
            "cannot open cantact:3@500k: no permission: a udev rule has to",
        ),
        (
            can.CanInitializationError("10.5k is impossible on a clock of 24 MHz: 10.4k is", errno.EINVAL),
            BadInterface,
            "interface 'cantact:3@500k': 10.5k is impossible on a clock of 24 MHz: 10.4k is",
        ),
    ],
)
def test_what_our_own_drivers_say_is_passed_on(
    ours: type[OurRecorder], failure: Exception, error: type[Exception], sentence: str
) -> None:
    ours.failure = failure
    with pytest.raises(error) as caught:
        opened("cantact:3@500k")
    assert str(caught.value) == sentence


def test_a_rate_that_cannot_be_made_is_a_wrong_name(ours: type[OurRecorder]) -> None:
    ours.failure = can.CanInitializationError("slcan cannot do 83.3k")
    ours.failure.__cause__ = ValueError("83.3k")
    assert refused("slcan:COM3@83.3k") == "slcan cannot do 83.3k"


@pytest.mark.parametrize(
    "text",
    [
        "slcan:/dev/null@500k?dialect=foo",
        "slcan:/dev/null@500k?baud=-1",
        "slcan:/dev/null@500k?tx_window=0",
        "slcan:/dev/null@500k?reconnect_s=nan",
        "usbcan:/dev/null@500k?protocol=foo",
        "usbcan:/dev/null@500k?frame_type=foo",
        "usbcan:/dev/null@500k?status_interval_s=-1",
        "usbcan:/dev/null?timing=99,1,1",
        "usbcan:/dev/null@501k",
        "usbcan:foo://x@500k",
    ],
)
def test_a_value_that_a_serial_adapter_does_not_know_is_a_wrong_name(text: str) -> None:
    assert refused(text)


@pytest.mark.parametrize(
    ("text", "option"),
    [
        ("slcan:/dev/ttyACM0?btr=0014", "btr"),
        ("usbcan:/dev/ttyUSB0?timing=13,4,24", "timing"),
        ("candlelight:0?timing=1,6,7,2", "timing"),
    ],
)
def test_a_bit_timing_takes_the_place_of_a_rate(text: str, option: str) -> None:
    interface = parse_interface(text)
    driver = drivers.driver_of(interface)
    made = drivers.arguments(interface, driver, opening._bus_class(interface, driver), listen_only=False)
    assert option in made and "bitrate" not in made
    assert actual_bit_rate(interface) is None


@pytest.mark.parametrize("begin", ["", "COM3: ", "slcan COM3: ", "slcan on COM3: "])
def test_a_port_is_named_once(ours: type[OurRecorder], begin: str) -> None:
    ours.failure = can.CanInitializationError(f"{begin}the adapter does not answer")
    with pytest.raises(AdapterNotFound) as error:
        opened("slcan:COM3@500k")
    assert str(error.value) == "cannot open slcan:COM3@500k: the adapter does not answer"


@pytest.mark.parametrize(
    ("text", "library", "install"),
    [
        ("slcan:COM3@500k", "pyserial", "pip install 'opendiag[serial]'"),
        ("usbcan:COM3@500k", "pyserial", "pip install 'opendiag[serial]'"),
        ("robotell:COM3@500k", "pyserial", "pip install pyserial"),
        ("cantact:0@500k", "pyusb", "pip install 'opendiag[usb]'"),
    ],
)
def test_a_missing_library_is_named(monkeypatch: pytest.MonkeyPatch, text: str, library: str, install: str) -> None:
    monkeypatch.setattr(drivers, "installed", lambda module: False)
    with pytest.raises(MissingDependency) as error:
        opened(text)
    assert error.value.library == library
    assert str(error.value).endswith(f"needs {library}: {install}")


@pytest.mark.parametrize("example", sorted(set(ADAPTERS.values()) - NEED_NOTHING))
def test_no_driver_fails_with_anything_but_our_errors(
    example: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Most are not installed; those that are find no adapter."""
    monkeypatch.setattr(linux_can, "SYS_NET", tmp_path)
    port = _free_port()
    with pytest.raises((AdapterNotFound, MissingDependency, BadInterface)) as error:
        opened(example.replace("29536", str(port)))
    assert len(str(error.value)) > 30, "a sentence"


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


# --- what drivers say, in other words --------------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has one number for both")
@pytest.mark.parametrize(
    ("failure", "reason"),
    [
        (PermissionError(errno.EACCES, "Permission denied"), "no permission: sudo usermod -aG dialout $USER"),
        (OSError(errno.EBUSY, "Device or resource busy"), "it is in use: close the other program"),
        (FileNotFoundError(errno.ENOENT, "No such file"), "there is no COM3: `opendiag ports` lists what is here"),
        (can.CanInitializationError("could not open port 'COM3': FileNotFoundError(2, '')"), "there is no COM3"),
        (OSError(errno.EIO, "Input/output error"), "Input/output error"),
        (can.CanInitializationError("no answer."), "no answer"),
        (RuntimeError(""), "RuntimeError"),
    ],
)
def test_failures_of_a_driver(recorder: type[Recorder], failure: Exception, reason: str) -> None:
    recorder.failure = failure
    assert reason in not_found("slcan:COM3@500k")
    assert reason in not_found("robotell:COM3@500k")


def test_the_cause_of_a_failure_counts(recorder: type[Recorder]) -> None:
    recorder.failure = can.CanInitializationError("could not open")
    recorder.failure.__cause__ = FileNotFoundError(errno.ENOENT, "No such file or directory")
    assert "there is no COM3" in not_found("slcan:COM3@500k")


def test_windows_says_no_permission_for_a_port_in_use(
    recorder: type[Recorder], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "platform", "win32")
    recorder.failure = OSError("could not open port 'COM3': PermissionError(13, 'Access is denied.', None, 5)")
    assert "it is in use" in not_found("slcan:COM3@500k")


def test_a_value_that_the_driver_refuses_is_a_wrong_name(recorder: type[Recorder]) -> None:
    recorder.failure = ValueError("channel out of range")
    assert refused("robotell:COM3@500k") == "robotell does not take it: channel out of range"
    recorder.failure = KeyError("PCAN_X")
    assert "pcan does not take it: KeyError 'PCAN_X'" in refused("pcan:PCAN_X@500k")


def test_missing_software_of_a_manufacturer_is_named(recorder: type[Recorder]) -> None:
    for recorder.failure in (NameError("canOpenChannel"), OSError("pcanbasic library not found")):
        assert "its driver is not installed: it needs PEAK's driver" in not_found("pcan:PCAN_USBBUS1@500k")


def test_what_the_wrapper_of_a_missing_driver_stumbled_over_is_not_shown(recorder: type[Recorder]) -> None:
    recorder.failure = NameError("name 'canGetNumberOfChannels' is not defined")
    assert not_found("kvaser:0@500k").endswith("it needs Kvaser's CANlib (kvaser.com/download)")


@pytest.mark.parametrize("name", ["slcan:/dev/null@500k", "usbcan:/dev/null@500k", "robotell:/dev/null@500k"])
def test_what_is_no_serial_port_is_called_so(name: str) -> None:
    assert not_found(name) == "/dev/null is no serial port: `opendiag ports` lists what is here"


# --- SocketCAN -------------------------------------------------------------------------------------------------------


@pytest.fixture
def links(monkeypatch: pytest.MonkeyPatch, recorder: type[Recorder], tmp_path: Path) -> dict[str, CanLink]:
    """The CAN interfaces of this computer."""
    found: dict[str, CanLink] = {}
    monkeypatch.setattr(linux_can, "SYS_NET", tmp_path)
    monkeypatch.setattr(linux_can, "can_link", found.get)
    monkeypatch.setattr(linux_can, "can_links", lambda: list(found.values()))
    monkeypatch.setattr(socket, "AF_CAN", 29, raising=False)
    return found


def test_an_interface_that_is_up(links: dict[str, CanLink], recorder: type[Recorder]) -> None:
    links["can0"] = CanLink("can0", True, "ERROR-ACTIVE", 500_000)
    opened("socketcan:can0@500k")
    assert recorder.made["channel"] == "can0"
    opened("socketcan:can0")
    assert interface_notes(parse_interface("socketcan:can0@500k")) == []
    assert actual_bit_rate(parse_interface("socketcan:can0")) == 500_000


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("socketcan:can0@1M", "can0 is down: sudo ip link set can0 up type can bitrate 1000000"),
        ("socketcan:can0", "can0 is down: sudo ip link set can0 up type can bitrate 500000"),
        ("socketcan:vcan0", "vcan0 is down: sudo ip link set vcan0 up"),
        ("socketcan:can1@500k", "can1 runs at 250k, not 500k: name that rate or none, or sudo ip link set can1 down; "),
        ("socketcan:can7", "there is no can7: the CAN interfaces here are can0, vcan0, can1; is the adapter plugged"),
        ("socketcan:vcan7", "there is no vcan7: sudo ip link add vcan7 type vcan; sudo ip link set vcan7 up"),
    ],
)
def test_an_interface_that_is_not_ready(links: dict[str, CanLink], text: str, reason: str) -> None:
    links["can0"] = CanLink("can0", False)
    links["vcan0"] = CanLink("vcan0", False, virtual=True)
    links["can1"] = CanLink("can1", True, "ERROR-ACTIVE", 250_000)
    assert not_found(text).startswith(reason)


@pytest.mark.parametrize(
    ("mtu", "name", "fd"),
    [
        (72, "socketcan:can0", True),
        (2060, "socketcan:can0", True),
        (16, "socketcan:can0", None),
        (None, "socketcan:can0", None),
        (72, "socketcan:can0?fd=no", False),
        (16, "socketcan:can0?fd=yes", True),
    ],
)
def test_an_interface_with_can_fd_is_opened_with_it(
    links: dict[str, CanLink], monkeypatch: pytest.MonkeyPatch, mtu: int | None, name: str, fd: bool | None
) -> None:
    """Else the kernel withholds CAN FD frames, and nobody learns of it."""
    made: dict[str, Any] = {}

    def bus(channel: str, fd: bool | None = None, receive_own_messages: bool = False) -> Recorder:
        made["fd"] = fd
        return Recorder(channel)

    bus.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter("fd", inspect.Parameter.KEYWORD_ONLY, default=False)]
    )
    monkeypatch.setattr(opening, "_bus_class", lambda interface, driver: bus)
    links["can0"] = CanLink("can0", True, mtu=mtu)
    opened(name)
    assert made["fd"] is fd


def test_no_interface_at_all(links: dict[str, CanLink]) -> None:
    assert "there is no CAN interface here; is the adapter plugged in?" in not_found("socketcan:can0")


def test_socketcan_where_there_is_no_linux(links: dict[str, CanLink], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_CAN")
    assert "SocketCAN exists on Linux only" in not_found("socketcan:can0")


def test_a_kernel_without_socketcan(links: dict[str, CanLink], recorder: type[Recorder]) -> None:
    links["can0"] = CanLink("can0", True)
    recorder.failure = OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
    assert "this system has no SocketCAN" in not_found("socketcan:can0")


@pytest.mark.parametrize(
    ("text", "listen_only", "notes"),
    [
        ("socketcan:can0@500k", False, ["can0 does not tell its bit rate: 500k is not verified; the system sets it"]),
        ("socketcan:vcan0@500k", True, ["vcan0 has no bit rate: 500k is not verified; the system sets it"]),
        ("socketcan:can1", False, ["can1 is bus-off: sudo ip link set can1 down; sudo ip link set can1 up"]),
        (
            "socketcan:can2@1M",
            True,
            [
                "can2 acknowledges what it hears, although nothing is sent: sudo ip link set can2 down; "
                "sudo ip link set can2 up type can bitrate 1000000 listen-only on"
            ],
        ),
        ("socketcan:can3@1M", True, []),
        ("socketcan:can7", True, []),
        ("virtual:x@500k", False, ["a virtual bus has no bit rate: 500k is not used"]),
        ("virtual:x", True, []),
        ("socketcand:h/can0@500k", False, ["the bit rate is set where the server runs: 500k is not verified"]),
        ("slcan:COM3@500k", False, []),
    ],
)
def test_notes(links: dict[str, CanLink], text: str, listen_only: bool, notes: list[str]) -> None:
    links["can0"] = CanLink("can0", True)
    links["vcan0"] = CanLink("vcan0", True, virtual=True)
    links["can1"] = CanLink("can1", True, "BUS-OFF", 500_000)
    links["can2"] = CanLink("can2", True, "ERROR-ACTIVE", 1_000_000)
    links["can3"] = CanLink("can3", True, "ERROR-ACTIVE", 1_000_000, listen_only=True)
    assert interface_notes(parse_interface(text), listen_only=listen_only) == notes


# --- socketcand ------------------------------------------------------------------------------------------------------


@pytest.fixture
def answering() -> Iterator[tuple[int, list[bytes]]]:
    """(port, answers): to every client that many answers, each but the first after something it said."""
    answers: list[bytes] = []
    stop = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)

        def serve() -> None:
            while not stop.is_set():
                try:
                    connection, _ = listener.accept()
                except TimeoutError:
                    continue
                with connection:
                    connection.settimeout(WAIT_S)
                    for answer in answers:
                        connection.sendall(answer)
                        if not connection.recv(100):
                            break

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1], answers
        stop.set()
        thread.join(WAIT_S)


def test_a_socketcand_server(answering: tuple[int, list[bytes]]) -> None:
    port, answers = answering
    answers += [b"< hi >", b"< ok >", b"< ok >", b"< frame 701 1.5 05 >"]
    with opened(f"socketcand:127.0.0.1:{port}/can0?tcp_tune=no") as bus:
        bus.send(can.Message(arbitration_id=5, is_extended_id=False))
        message = bus.recv(WAIT_S)
        assert message is not None and message.arbitration_id == 0x701


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ([b"SSH-2.0>"], "no socketcand server there: it says 'SSH-2.0>'"),
        ([b"< hi >", b"< error no can7 here >"], "the server refuses can7: 'no can7 here'"),
        ([b"< hi >"], "the server refuses can7: nothing"),
    ],
)
def test_a_server_that_will_not(answering: tuple[int, list[bytes]], said: list[bytes], reason: str) -> None:
    port, answers = answering
    answers += said
    assert not_found(f"socketcand:127.0.0.1:{port}/can7") == reason


def test_a_server_that_says_nothing(answering: tuple[int, list[bytes]], monkeypatch: pytest.MonkeyPatch) -> None:
    port, answers = answering
    answers += [b" "]
    patient = opening.probe
    monkeypatch.setattr(opening, "probe", lambda host, port, channel: patient(host, port, channel, 0.1))
    assert "no answer within 0.1 s" in not_found(f"socketcand:127.0.0.1:{port}/can7")


def test_nobody_is_there_is_known_at_once(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    assert "refused" in not_found(f"socketcand:127.0.0.1:{_free_port()}/can0")
    assert not caplog.records, "python-can's client was not even asked"
    gc.collect()  # and left no socket behind
