"""What LSS messages refuse to encode; the bytes and texts are among the golden vectors."""

import pytest

from opendiag.errors import WireError
from opendiag.wire import lss
from opendiag.wire.cob_id import Service, predefined
from opendiag.wire.lss import LssCommand as C


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (lss.AddressPart(C.STORE, 1), r"STORE \(17h\) is not a command with a number"),
        (lss.AddressPart(C.SELECT_SERIAL, 1 << 32), "number 4294967296 does not fit 32 bits"),
        (lss.Inquire(C.STORE), "not an inquiry"),
        (lss.Bare(C.FASTSCAN), "not a command without data"),
        (lss.Result(C.FASTSCAN, 0), "not a command that is confirmed"),
        (lss.Result(C.STORE, 256), "error 256 does not fit 8 bits"),
        (lss.Result(C.STORE, 255, 256), "specific error 256"),
        (lss.ConfigureNodeId(256), "node-ID 256 does not fit 8 bits"),
        (lss.NodeIdAnswer(-1), "node-ID -1"),
        (lss.ConfigureBitTiming(256, 0), "table 256"),
        (lss.ConfigureBitTiming(0, 256), "index 256"),
        (lss.ActivateBitTiming(0x10000), "delay in ms 65536 does not fit 16 bits"),
        (lss.Fastscan(1 << 32, 0, 0, 0), "number 4294967296"),
        (lss.Fastscan(0, 32, 0, 0), "Fastscan with bit 32"),
        (lss.Fastscan(0, -1, 0, 0), "Fastscan with bit -1"),
        (lss.Fastscan(0, 0, 4, 0), "parts 4 and 0"),
        (lss.Fastscan(0, 0, 0, -1), "parts 0 and -1"),
    ],
    ids=lambda value: repr(value) if not isinstance(value, str) else "",
)
def test_what_no_peer_could_read_is_not_encoded(message, reason):
    with pytest.raises(WireError, match=reason):
        message.encode()


def test_the_identifiers_are_those_of_the_connection_set():
    assert predefined(lss.REQUEST_ID).service is Service.LSS_REQUEST
    assert predefined(lss.RESPONSE_ID).service is Service.LSS_RESPONSE


def test_every_message_is_eight_bytes():
    for message in (lss.Switch(True), lss.Bare(C.STORE), lss.Fastscan(0, 128, 0, 0), lss.Result(C.STORE, 1)):
        assert len(message.encode()) == lss.LENGTH


def test_a_result_has_no_specific_error_unless_given():
    assert lss.Result(C.STORE, 0).encode() == b"\x17" + bytes(7)
