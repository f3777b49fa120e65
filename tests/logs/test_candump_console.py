"""Console lines that other readers refuse, lose, or read wrong."""

import pytest

from opendiag.frame import Frame
from opendiag.logs.candump_console import parse
from opendiag.logs.candump_frame import NotAFrame

DATA = bytes.fromhex("F0160000")


@pytest.mark.parametrize(
    ("line", "frame"),
    [
        pytest.param("  can0  4E5   [4]  F0 16 00 00", Frame(0x4E5, DATA), id="no options"),
        pytest.param("  can0  RX - -  4E5   [4]  F0 16 00 00", Frame(0x4E5, DATA, direction="rx"), id="-x"),
        pytest.param("  can0  TX - -  4E5   [4]  F0 16 00 00", Frame(0x4E5, DATA, direction="tx"), id="-x sent"),
        pytest.param(
            "  can0  RX B E  4E5  [04]  F0 16 00 00",
            Frame(0x4E5, DATA, direction="rx", fd=True, brs=True, esi=True),
            id="-x FD",
        ),
        pytest.param("  can0  4E5   [4]  F0 16 00 00               '....'", Frame(0x4E5, DATA), id="-a"),
        pytest.param("  can0  4E5   [2]  27 31                     ''1'", Frame(0x4E5, b"'1"), id="-a with a quote"),
        pytest.param("  can0  4E5   [0]                            ''", Frame(0x4E5), id="-a without data"),
        pytest.param("  can0  4E5   [0] ", Frame(0x4E5), id="without data"),
        pytest.param("  can0  4E5   [4]  00`00`16`F0", Frame(0x4E5, DATA), id="-S"),
        pytest.param("  can0  4E5   [4]  00`00`16`F0               `....`", Frame(0x4E5, DATA), id="-S -a"),
        pytest.param("  can0  4E5   [0]                            ``", Frame(0x4E5), id="-S -a without data"),
        pytest.param("  can0  4E5   [1]  60                        ```", Frame(0x4E5, b"`"), id="-S -a one backtick"),
        pytest.param("  can0  4E5   [2]  11110000 00010000", Frame(0x4E5, b"\xf0\x10"), id="-i"),
        pytest.param("  can0  4E5   [1]  10000000", Frame(0x4E5, b"\x80"), id="-i one byte, hexadecimal too"),
        pytest.param("  can0  4E5   [2]  00010000`11110000", Frame(0x4E5, b"\xf0\x10"), id="-i -S"),
        pytest.param("  can0  4E5   [2]  11 10", Frame(0x4E5, b"\x11\x10"), id="bytes that look binary"),
        pytest.param("  can0  4E5   {B}  01 02 03 04 05 06 07 08", Frame(0x4E5, bytes(range(1, 9)), dlc=11), id="-8"),
        pytest.param("  can0  4E5   {B}  remote request", Frame(0x4E5, remote=True, dlc=11), id="-8 remote"),
        pytest.param("  can0  4E5   [2]  remote request", Frame(0x4E5, remote=True, dlc=2), id="remote"),
        pytest.param("  can0       4E5   [4]  F0 16 00 00", Frame(0x4E5, DATA), id="indented behind 29 bits"),
        pytest.param("  can0  000004E5   [4]  F0 16 00 00", Frame(0x4E5, DATA, extended=True), id="29 bits"),
        pytest.param(
            "  can0  4E5  [12]  00 01 02 03 04 05 06 07 08 09 0A 0B", Frame(0x4E5, bytes(range(12)), fd=True), id="FD"
        ),
        pytest.param(
            "  can0  20000088   [8]  00 00 02 19 00 00 80 FE   ERRORFRAME",
            Frame(0x88, bytes.fromhex("00000219000080FE"), error=True),
            id="error frame",
        ),
    ],
)
def test_lines(line, frame):
    assert parse(line)[0] == Frame(
        frame.can_id,
        frame.data,
        frame.extended,
        frame.remote,
        frame.error,
        frame.fd,
        frame.brs,
        frame.esi,
        frame.dlc,
        "can0",
        frame.direction,
    )


@pytest.mark.parametrize(
    ("stamp", "kind", "ns"),
    [
        ("(1436509052.249713)", "absolute", 1436509052_249713000),
        ("(1436509052.249713001)", "absolute", 1436509052_249713001),
        ("(2015-07-10 06:17:32.249713)", "local", 1436509052_249713000),
        ("(2015-07-10 06:17:32.249713001)", "local", 1436509052_249713001),
        ("(000.002157)", "relative", 2_157_000),
        ("(000.002157001)", "relative", 2_157_001),
    ],
)
@pytest.mark.parametrize("rest", ["can0  123   [1]  00", "can0  RX - -  123   [1]  00", "can0  123   [1]  00   '.'"])
def test_times(stamp, kind, ns, rest):
    frame, seen = parse(f" {stamp}  {rest}\n")
    assert (seen, frame.time_ns) == (kind, ns)


@pytest.mark.parametrize(
    "line", ["<0x19fa0300> [8] 9a d3 00 01 02 03 04 05", "<0x19FA0300>  [8]  9A D3 00 01 02 03 04 05\r\n"]
)
def test_very_old_builds(line):
    assert parse(line) == (Frame(0x19FA0300, bytes.fromhex("9ad3000102030405"), extended=True), "none")


@pytest.mark.parametrize(
    ("line", "code"),
    [
        ("can0 123 [8] 4078600000000000", "log-length-mismatch"),
        ("can0 123 [4] F0160000", "log-length-mismatch"),
        ("can0 123 [4]  40786000    ", "log-length-mismatch"),
        ("can0 123 [2] 40  78 00", "log-length-mismatch"),
        ("can0 123 [3] 00`11", "log-length-mismatch"),
        ("can0 123 [2] 0`11", "log-length-mismatch"),
        ("can0 123 [13] 00 00 00 00 00 00 00 00 00 00 00 00 00", "log-not-a-frame"),
        ("can0 C00007FF [0]", "log-not-a-frame"),
        ("can0  TX S R  123  [0001] (00|01:02:AABBCCDD) 11", "log-can-xl"),
    ],
)
def test_refusals(line, code):
    with pytest.raises(NotAFrame) as error:
        parse(line)
    assert error.value.code == code


@pytest.mark.parametrize(
    "line", ["", "can0", "can0 12 [0]", "can0 1234 [0]", "can0 123", "123 [", "can0 123 [] 00", "a b 123 [0]"]
)
def test_other_shapes(line):
    assert parse(line) is None
