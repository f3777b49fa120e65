"""One frame as somebody types it, and the sentence for what is none."""

import pytest

from opendiag.errors import LogError, NotALine, OpenDiagError
from opendiag.frame import Frame
from opendiag.logs import parse_line

SDO = bytes.fromhex("4041600000000000")


@pytest.mark.parametrize(
    ("text", "frame"),
    [
        ("665#4041600000000000", Frame(0x665, SDO)),
        ("665 [8] 40 41 60 00 00 00 00 00", Frame(0x665, SDO)),
        ("can0 665 [8] 40 41 60 00 00 00 00 00", Frame(0x665, SDO, channel="can0")),
        ("665 40 41 60 00 00 00 00 00", Frame(0x665, SDO)),
        ("0x665 0x40, 0x41, 0x60, 0x00, 0x00, 0x00, 0x00, 0x00", Frame(0x665, SDO)),
        ("(1.5) can0 665#4041600000000000", Frame(0x665, SDO, channel="can0", time_ns=1_500_000_000)),
        ("(1.5) can0 665#4041600000000000 T", Frame(0x665, SDO, channel="can0", direction="tx", time_ns=1_500_000_000)),
        ("80#", Frame(0x080)),
        ("0x80 [0]", Frame(0x080)),
        ("5 [1] 01", Frame(0x005, b"\x01")),
        ("0 81 65", Frame(0x000, b"\x81\x65")),
        ("00000665#40", Frame(0x665, b"\x40", extended=True)),
        ("0x18FEF100 [1] 40", Frame(0x18FEF100, b"\x40", extended=True)),
        ("98FEF100#40", Frame(0x18FEF100, b"\x40", extended=True)),
        ("20000004#0020000000008000", Frame(4, bytes.fromhex("0020000000008000"), error=True)),
        ("665#R", Frame(0x665, remote=True)),
        ("665#R8", Frame(0x665, remote=True, dlc=8)),
        ("665 [2] remote request", Frame(0x665, remote=True, dlc=2)),
        ("123##3112233", Frame(0x123, b"\x11\x22\x33", fd=True, brs=True, esi=True)),
        ("123  [12]  00 01 02 03 04 05 06 07 08 09 0A 0B", Frame(0x123, bytes(range(12)), fd=True)),
    ],
)
def test_notations(text, frame):
    assert parse_line(text) == frame


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "expected a frame such as"),
        ("hello", "expected a frame such as"),
        ("665 [8] 40", "8 bytes announced, 1 found"),
        ("665 [1] 40 41", "1 byte announced, and more follow"),
        ("665 [2] 4 1", "'4' is none of them"),
        ("1234 [1] 00", "1234 has 4"),
        ("1234567#00", "1234567 has 7"),
        ("FFF#00", "above 7FF"),
        ("665#4", "whole bytes"),
        ("665 00 01 02 03 04 05 06 07 08", "at most 8"),
        ("123##0000102030405060708", "do not exist in CAN FD"),
        ("00123#81:02:AABBCCDD#11223344", "CAN XL"),
    ],
)
def test_says_why_not(text, reason):
    with pytest.raises(NotALine) as error:
        parse_line(text)
    assert reason in str(error.value)
    assert error.value.text == text


def test_the_error_is_one_of_the_tree_and_a_value_error():
    assert issubclass(NotALine, LogError) and issubclass(NotALine, OpenDiagError) and issubclass(NotALine, ValueError)
