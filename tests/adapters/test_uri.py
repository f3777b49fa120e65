"""Names of interfaces: what each one means, what a wrong one is told, and that a name survives being written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.adapters import uri
from opendiag.adapters.uri import ADAPTERS, Interface, SimDevice, parse_bit_rate, parse_interface
from opendiag.errors import BadInterface


@pytest.mark.parametrize(
    ("text", "adapter", "channel", "bit_rate"),
    [
        ("socketcan:can0@500k", "socketcan", "can0", 500_000),
        ("socketcan:can0", "socketcan", "can0", None),
        ("cantact:0@1M", "cantact", "0", 1_000_000),
        ("usbcan:COM5@5k", "usbcan", "COM5", 5_000),
        ("gs_usb:0/1@1M", "gs_usb", "0/1", 1_000_000),
        ("candlelight:0031-A/1@500k", "candlelight", "0031-A/1", 500_000),
        ("cantact:/1-2.3/1@500k", "cantact", "/1-2.3/1", 500_000),
        ("usbcan:COM5@500k", "usbcan", "COM5", 500_000),
        (r"usbcan:\\.\COM12@500k", "usbcan", r"\\.\COM12", 500_000),
        ("slcan:/dev/ttyACM0@500k", "slcan", "/dev/ttyACM0", 500_000),
        ("slcan:/dev/serial/by-path/pci-0:1.2@500k", "slcan", "/dev/serial/by-path/pci-0:1.2", 500_000),
        ("slcan:/dev/odd@name@125000", "slcan", "/dev/odd@name", 125_000),
        ("slcan:/dev/odd%40name", "slcan", "/dev/odd@name", None),
        ("pcan:PCAN_USBBUS1@250k", "pcan", "PCAN_USBBUS1", 250_000),
        ("virtual:test", "virtual", "test", None),
        ("sim", "sim", "", None),
        ("sim@250k", "sim", "", 250_000),
        ("sim:stepim", "sim", "stepim", None),
        ("sim:stepim,drive.eds=5@125k", "sim", "stepim,drive.eds=5", 125_000),
        ("socketcand:192.168.1.7:29536/can0", "socketcand", "192.168.1.7:29536/can0", None),
        ("socketcand:pi.local/can0", "socketcand", "pi.local:29536/can0", None),
        ("socketcand:[::1]:5/can0", "socketcand", "[::1]:5/can0", None),
        ("udp_multicast", "udp_multicast", "", None),
        ("  SocketCAN : can0 @ 500 k ", "socketcan", "can0", 500_000),
    ],
)
def test_what_a_name_means(text: str, adapter: str, channel: str, bit_rate: int | None) -> None:
    assert parse_interface(text) == Interface(adapter, channel, bit_rate)


def test_options() -> None:
    interface = parse_interface("slcan:COM3@500k?rtscts=1&Tty-Baudrate=115200&note=a%26b=c")
    assert dict(interface.options) == {"rtscts": "1", "tty_baudrate": "115200", "note": "a&b=c"}
    assert str(interface) == "slcan:COM3@500k?rtscts=1&tty_baudrate=115200&note=a%26b=c"


@pytest.mark.parametrize("example", ADAPTERS.values())
def test_every_example_is_a_normalised_name(example: str) -> None:
    assert str(parse_interface(example)) == example


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no adapter named; expected ADAPTER:CHANNEL@BITRATE"),
        (":can0", "no adapter named"),
        ("socketcn:can0", "there is no adapter 'socketcn': did you mean socketcan?"),
        ("cantcat:0@1M", "did you mean cantact?"),
        ("seeedstudio:/dev/ttyUSB0@500k", "here seeedstudio is called usbcan"),
        ("Lawicel:COM3@500k", "here Lawicel is called slcan"),
        ("canable:0@500k", "here canable is called candlelight, or slcan where its firmware makes it a serial port"),
        ("canable", "here canable is called candlelight"),
        ("opendiag_slcan:COM3@500k", "here opendiag_slcan is called slcan"),
        ("teapot:0", "there is no adapter 'teapot'; the usual ones are socketcan, cantact"),
        ("can0", "did you mean socketcan:can0?"),
        ("vcan1@500k", "did you mean socketcan:vcan1@500k?"),
        ("/dev/ttyACM0", "slcan:/dev/ttyACM0@500k or usbcan:/dev/ttyACM0@500k"),
        ("COM5@1M", "slcan:COM5@1M or usbcan:COM5@1M"),
        (r"\\.\COM12", r"slcan:\\.\COM12@500k"),
        ("captures/field.log", "that looks like a file"),
        (r"C:\field.log", "that looks like a file"),
        ("socketcan", "no channel: expected socketcan:can0"),
        ("socketcan:", "no channel: expected socketcan:can0"),
        ("slcan:COM3@", "no bit rate after the @"),
        ("slcan:COM3@fast", "'fast' is no bit rate: expected 5k to 1M, such as 500k"),
        ("slcan:/dev/odd@name/x", "written %40"),
        ("pcan:PCAN_USBBUS1@500", "expected 5k to 1M; did you mean 500k?"),
        ("pcan:PCAN_USBBUS1@2M", "2M is no bit rate of classic CAN: expected 5k to 1M"),
        ("pcan:PCAN_USBBUS1@4k", "4k is no bit rate of classic CAN"),
        ("slcan:COM3?fast", "'fast' is no option: expected key=value"),
        ("slcan:COM3?=1", "'=1' is no option"),
        ("slcan:COM3?a=1&A=2", "option a is given twice"),
        ("slcan:COM%003", "control character"),
        ("slcan:COM3?a=%0A", "control character in option a"),
        ("sim:10.0.0.7:29536", "write socketcand:10.0.0.7:29536/sim"),
        ("sim:stepim=0", "'0' is no node-ID: expected 1..127, as in stepim=5"),
        ("sim:stepim=128", "'128' is no node-ID"),
        ("sim:stepim=five", "'five' is no node-ID"),
        ("sim:stepim,,x.eds", "a simulated device without a name"),
        ("sim:=5", "a simulated device without a name"),
        ("socketcand:host", "expected HOST:PORT/CHANNEL"),
        ("socketcand:host:70000/can0", "70000 is no TCP port"),
        ("socketcand:host:0/can0", "0 is no TCP port"),
        ("socketcand:host/<can0>", "expected HOST:PORT/CHANNEL"),
    ],
)
def test_a_wrong_name_is_told_what_is_wrong(text: str, sentence: str) -> None:
    with pytest.raises(BadInterface) as error:
        parse_interface(text)
    assert sentence in error.value.reason
    assert error.value.interface == text
    assert isinstance(error.value, ValueError)


def test_a_plug_in_of_python_can_is_an_adapter(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(BadInterface):
        parse_interface("acme:7@500k")
    monkeypatch.setattr(uri, "plugins", lambda: frozenset({"acme"}))
    assert parse_interface("acme:7@500k") == Interface("acme", "7", 500_000)
    with pytest.raises(BadInterface, match="expected acme:CHANNEL@500k"):
        parse_interface("acme")


def test_simulated_devices() -> None:
    interface = parse_interface(r"sim:stepim, C:\my=files\drive.eds=5 ,dut=127")
    assert uri.sim_devices(interface) == (
        SimDevice("stepim"),
        SimDevice(r"C:\my=files\drive.eds", 5),
        SimDevice("dut", 127),
    )
    assert uri.sim_devices(parse_interface("sim")) == ()


def test_the_server_of_a_socketcand_name() -> None:
    server = uri.server_of(parse_interface("socketcand:host/can1"))
    assert (server.host, server.port, server.channel) == ("host", uri.SIM_PORT, "can1")


@pytest.mark.parametrize(
    ("text", "rate"),
    [("10k", 10_000), ("83.3k", 83_300), ("33.333k", 33_333), ("0.5M", 500_000), ("1m", 1_000_000), (".8M", 800_000)],
)
def test_bit_rates(text: str, rate: int) -> None:
    assert parse_bit_rate(text) == rate
    assert parse_bit_rate(f"{rate}") == parse_bit_rate(f"{text}bit/s") == rate


def test_bit_rates_of_data() -> None:
    assert parse_bit_rate("8M", uri.MAX_DATA_BIT_RATE) == 8_000_000
    assert parse_bit_rate("2.5M", uri.MAX_DATA_BIT_RATE) == 2_500_000
    for text, reason in (
        ("8.1M", "8.1M is no bit rate of CAN FD data: expected 5k to 8M"),
        ("2000", "2000 is no bit rate of CAN FD data: expected 5k to 8M; did you mean 2000k?"),
        ("quick", "'quick' is no bit rate: expected 5k to 8M, such as 2M"),
    ):
        with pytest.raises(ValueError) as error:
            parse_bit_rate(text, uri.MAX_DATA_BIT_RATE)
        assert str(error.value) == reason
    assert [uri.format_bit_rate(rate) for rate in (2_000_000, 2_500_000, 83_300)] == ["2M", "2500k", "83.3k"]


@given(st.integers(uri.MIN_BIT_RATE, uri.MAX_BIT_RATE))
def test_a_bit_rate_comes_back_as_it_was(rate: int) -> None:
    assert parse_bit_rate(uri.format_bit_rate(rate)) == rate


_BLANK_ENDS = " \t\r\n"
_TEXT = st.text(st.characters(blacklist_categories=["Cc"], codec=None), max_size=30).filter(
    lambda text: text == text.strip(_BLANK_ENDS)
)
_OPTIONS = st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True), _TEXT, max_size=3)
_RATES = st.none() | st.integers(uri.MIN_BIT_RATE, uri.MAX_BIT_RATE)


@given(st.sampled_from(sorted(set(ADAPTERS) - {"sim", "socketcand"})), _TEXT.filter(bool), _RATES, _OPTIONS)
def test_a_name_comes_back_as_it_was(adapter: str, channel: str, bit_rate: int | None, options: dict[str, str]) -> None:
    interface = Interface(adapter, channel, bit_rate, options)
    text = str(interface)
    assert parse_interface(text) == interface
    assert str(parse_interface(f"  {text} ")) == text


@given(st.text(max_size=40) | st.sampled_from(sorted(ADAPTERS)).flatmap(lambda name: st.text().map(f"{name}:".__add__)))
def test_any_text_is_a_name_or_refused(text: str) -> None:
    try:
        interface = parse_interface(text)
    except BadInterface as error:
        assert str(error)
    else:
        assert parse_interface(str(interface)) == interface
