"""Lines of log files that other readers refuse, lose, or read wrong; and writing them."""

import pytest

from opendiag.frame import Frame
from opendiag.logs import format_log_line
from opendiag.logs.candump_frame import NotAFrame
from opendiag.logs.candump_log import parse

EIGHT = bytes(range(8))


@pytest.mark.parametrize(
    ("body", "frame"),
    [
        pytest.param("123#", Frame(0x123), id="no data"),
        pytest.param("123#1122", Frame(0x123, b"\x11\x22"), id="data"),
        pytest.param("123#aaBB", Frame(0x123, b"\xaa\xbb"), id="either case"),
        pytest.param("123#11.22.33", Frame(0x123, b"\x11\x22\x33"), id="dots"),
        pytest.param("00000123#11", Frame(0x123, b"\x11", extended=True), id="29 bits"),
        pytest.param("123#11 R", Frame(0x123, b"\x11", direction="rx"), id="-x received"),
        pytest.param("123#11 T", Frame(0x123, b"\x11", direction="tx"), id="-x sent"),
        pytest.param("123#R", Frame(0x123, remote=True), id="remote"),
        pytest.param("123#R T", Frame(0x123, remote=True, direction="tx"), id="remote sent"),
        pytest.param("123#R8", Frame(0x123, remote=True, dlc=8), id="remote with a length"),
        pytest.param("123#R8_9", Frame(0x123, remote=True, dlc=9), id="remote with a raw DLC"),
        pytest.param("123#R8_E", Frame(0x123, remote=True, dlc=14), id="remote with a hexadecimal raw DLC"),
        pytest.param("123#0001020304050607_9", Frame(0x123, EIGHT, dlc=9), id="raw DLC"),
        pytest.param("123#0001020304050607_E", Frame(0x123, EIGHT, dlc=14), id="hexadecimal raw DLC"),
        pytest.param("123##011", Frame(0x123, b"\x11", fd=True), id="FD"),
        pytest.param("123##1", Frame(0x123, fd=True, brs=True), id="FD BRS, no data"),
        pytest.param("123##211", Frame(0x123, b"\x11", fd=True, esi=True), id="FD ESI"),
        pytest.param("123##511", Frame(0x123, b"\x11", fd=True, brs=True), id="FD BRS and FDF"),
        pytest.param("123##A11", Frame(0x123, b"\x11", fd=True, esi=True), id="FD with an unknown flag"),
        pytest.param("20000004#0020000000008000", Frame(4, bytes.fromhex("0020000000008000"), error=True), id="error"),
    ],
)
def test_lines(body, frame):
    read, kind = parse(f"(1436509052.249713) can0 {body}\n")
    expected = [getattr(frame, name) for name in Frame.__slots__[:9]]
    assert [getattr(read, name) for name in Frame.__slots__[:9]] == expected
    assert (read.channel, read.direction, read.time_ns) == ("can0", frame.direction, 1436509052_249713000)
    assert kind == "absolute"


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("(1.000000) can0 123#1", "log-not-a-frame"),
        ("(1.000000) can0 123#001122334455667788", "log-not-a-frame"),
        ("(1.000000) can0 123#0011_9", "log-not-a-frame"),
        ("(1.000000) can0 800#00", "log-not-a-frame"),
        ("(1.000000) can0 C0000123#00", "log-not-a-frame"),
        ("(1.000000) can0 123##", "log-not-a-frame"),
        ("(1.000000) can0 123##0000102030405060708", "log-not-a-frame"),
        ("(1.000000) can0 123#RR", "log-not-a-frame"),
        ("(1.000000) can0 00123#81:02:AABBCCDD#11223344", "log-can-xl"),
    ],
)
def test_refusals(line, code):
    with pytest.raises(NotAFrame) as error:
        parse(line)
    assert error.value.code == code


@pytest.mark.parametrize(
    "line", ["", "# remark", "issue #12", "C# code", "1234#00", "(1.0) can0 123 [1] 00", "a b 123#00"]
)
def test_other_shapes(line):
    assert parse(line) is None


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (Frame(0x123, b"\x11", channel="can1", time_ns=1436509052_249713000), "(1436509052.249713) can1 123#11"),
        (Frame(0x123, b"\x11", channel="can1", time_ns=1436509052_249713001), "(1436509052.249713001) can1 123#11"),
        (Frame(0x123, b"\xab", direction="rx"), "(0000000000.000000) can0 123#AB R"),
        (Frame(1, extended=True, direction="tx"), "(0000000000.000000) can0 00000001# T"),
        (Frame(4, EIGHT, error=True), "(0000000000.000000) can0 20000004#0001020304050607"),
        (Frame(0x123, remote=True), "(0000000000.000000) can0 123#R"),
        (Frame(0x123, remote=True, dlc=11), "(0000000000.000000) can0 123#R8_B"),
        (Frame(0x123, EIGHT, dlc=9), "(0000000000.000000) can0 123#0001020304050607_9"),
        (Frame(0x123, b"\x11", fd=True, brs=True, esi=True), "(0000000000.000000) can0 123##311"),
    ],
)
def test_writing(frame, line):
    assert format_log_line(frame) == line


@pytest.mark.parametrize(("digits", "fraction"), [(6, "249713"), (9, "249713001")])
def test_writing_with_a_given_precision(digits, fraction):
    line = format_log_line(Frame(0x123, time_ns=1436509052_249713001), digits)
    assert line == f"(1436509052.{fraction}) can0 123#"
