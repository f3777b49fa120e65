"""What SDO messages refuse to encode, and which of them answers which; the bytes are among the golden vectors."""

import pytest

from opendiag.errors import WireError
from opendiag.wire import sdo
from opendiag.wire.sdo_block import (
    BlockAck,
    BlockDownloadInitiate,
    BlockDownloadInitiated,
    BlockEnd,
    BlockSegment,
    BlockUploadInitiate,
)

UNDECODABLE = {"client": [], "server": []}
for command in range(256):
    for who, decode in (("client", sdo.decode_request), ("server", sdo.decode_response)):
        try:
            decode(bytes([command, 0, 0x10, 0, 1, 0, 0, 0]))
        except WireError:
            UNDECODABLE[who].append(command)


def known(who):
    return [command for command in range(256) if command not in UNDECODABLE[who]]


def test_every_command_byte_a_client_may_send():
    assert known("client") == [
        *range(0x00, 0x20),  # download segments
        *range(0x20, 0x30),  # initiate download
        0x40,  # initiate upload
        *(0x60, 0x70),  # upload segment
        0x80,  # abort
        *(0xA0, 0xA1, 0xA2, 0xA3, 0xA4),  # block upload
        *(0xC0, 0xC1, 0xC2, 0xC4, 0xC5, 0xC6, 0xC9, 0xCD, 0xD1, 0xD5, 0xD9, 0xDD),  # block download
    ]


def test_every_command_byte_a_server_may_send():
    assert known("server") == [
        *range(0x00, 0x20),  # upload segments
        *(0x20, 0x30),  # download segment
        *range(0x40, 0x50),  # initiate upload
        0x60,  # initiate download
        0x80,  # abort
        *(0xA0, 0xA1, 0xA2, 0xA4),  # block download
        *(0xC0, 0xC1, 0xC2, 0xC4, 0xC5, 0xC6, 0xC9, 0xCD, 0xD1, 0xD5, 0xD9, 0xDD),  # block upload
    ]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (sdo.UploadInitiate(0x10000, 0), "no object 0x10000:0x0"),
        (sdo.UploadInitiate(-1, 0), "no object"),
        (sdo.UploadInitiate(0x1000, 256), "no object 0x1000:0x100"),
        (sdo.DownloadInitiate(0x1000, 0, b""), "0 bytes in an expedited transfer"),
        (sdo.DownloadInitiate(0x1000, 0, b"12345"), "5 bytes in an expedited transfer"),
        (sdo.DownloadInitiate(0x1000, 0, b"123", sized=False), "4 without a size"),
        (sdo.DownloadInitiate(0x1000, 0, b"123", size=3), "data and no size"),
        (sdo.DownloadInitiate(0x1000, 0, size=1 << 32), "size 4294967296 does not fit 32 bits"),
        (sdo.UploadInitiated(0x1000, 0, size=-1), "size -1 does not fit"),
        (sdo.Segment(False, b"12345678", False), "8 bytes in a segment"),
        (sdo.Abort(0x1000, 0, 1 << 32), "abort code 4294967296 does not fit 32 bits"),
        (BlockDownloadInitiate(0x1000, 0, 1 << 32), "size 4294967296"),
        (BlockDownloadInitiated(0x1000, 0, 0), "block size 0"),
        (BlockDownloadInitiated(0x1000, 0, 128), "block size 128"),
        (BlockUploadInitiate(0x1000, 0, 128), "block size 128"),
        (BlockUploadInitiate(0x1000, 0, 1, 256), "protocol switch threshold 256 does not fit 8 bits"),
        (BlockAck(128, 1), "sequence number 128"),
        (BlockAck(-1, 1), "sequence number -1"),
        (BlockAck(1, 128), "block size 128"),
        (BlockEnd(8, 0), "unused bytes 8 does not fit 3 bits"),
        (BlockEnd(0, 0x10000), "CRC 65536 does not fit 16 bits"),
        (BlockSegment(0, b"1234567", False), "segment number 0 is outside 1..127"),
        (BlockSegment(128, b"1234567", False), "segment number 128 is outside 1..127"),
        (BlockSegment(1, b"12345678", True), "8 bytes in a block segment"),
        (BlockSegment(1, b"123456", False), "6 bytes in a block segment"),
    ],
    ids=lambda value: repr(value) if not isinstance(value, str) else "",
)
def test_what_no_peer_could_read_is_not_encoded(message, reason):
    with pytest.raises(WireError, match=reason):
        message.encode()


@pytest.mark.parametrize("length", range(8))
def test_the_last_block_segment_may_be_short(length):
    assert BlockSegment(3, b"ABCDEFG"[:length], True).encode() == b"\x83" + b"ABCDEFG"[:length].ljust(7, b"\0")


def test_an_initiate_without_arguments_is_segmented_without_a_size():
    assert sdo.DownloadInitiate(0x1000, 0).encode()[0] == 0x20
    assert sdo.UploadInitiated(0x1000, 0).encode()[0] == 0x40
