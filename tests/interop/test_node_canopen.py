"""SDO with node-canopen (npm package `canopen`), an independent stack: our client and its server, and the reverse."""

from __future__ import annotations

import time

import pytest

from opendiag.dictionary.model import ObjectDictionary
from opendiag.errors import SdoAborted, SdoCancelled
from opendiag.master.network import Network
from opendiag.master.transfers import PendingTransfer
from opendiag.services.object_store import DictionaryStore

pytestmark = pytest.mark.interop

NODE = 5
FILE = 0x2006
DOUBLE_WORD = (0xDEADBEEF).to_bytes(4, "little")
LONG_STRING = b"A string that does not fit one frame"
#: 889 bytes are one full sub-block of 127 segments.
BLOCK_SIZES = [1, 4, 5, 7, 8, 14, 882, 888, 889, 890, 1778, 1779, 10_000]


def pattern(size: int) -> bytes:
    """Bytes that differ from segment to segment and from sub-block to sub-block."""
    return bytes((number * 7 + number // 251) % 256 for number in range(size))


def codes(pending: PendingTransfer) -> list[str]:
    return [finding.code for finding in pending.transfer.oddities]


# --- our client, its server ---


@pytest.mark.parametrize(
    ("index", "raw", "oddities"),
    [
        (0x2000, b"\x5a", []),
        (0x2001, b"\xef\xbe", []),
        (0x2002, DOUBLE_WORD, ["SDO-UNSIZED"]),
        (0x2003, (-123456).to_bytes(4, "little", signed=True), ["SDO-UNSIZED"]),
        (0x2004, b"abc", []),
    ],
)
def test_expedited_read(network: Network, peer_server, index: int, raw: bytes, oddities: list[str]) -> None:
    pending = network[NODE].begin_upload(index)
    assert pending.result(5) == raw
    assert pending.transfer.kind == "expedited"
    assert codes(pending) == oddities  # with four bytes it answers 42h
    assert [oddity.finding.code for oddity in network.oddities] == oddities


def test_segmented_read(network: Network, peer_server) -> None:
    for size in (5, 6, 7, 8, 13, 14, 15, 100, 889):
        peer_server.ask("set", index=FILE, data=pattern(size).hex())
        pending = network[NODE].begin_upload(FILE)
        assert pending.result(5) == pattern(size)
        assert (pending.transfer.kind, pending.transfer.size) == ("segmented", size)
        assert codes(pending) == ["SDO-EMPTY-LAST-SEGMENT"]


def test_block_read(network: Network, peer_server) -> None:
    for size in BLOCK_SIZES:
        peer_server.ask("set", index=FILE, data=pattern(size).hex())
        pending = network[NODE].begin_upload(FILE, block=True)
        assert pending.result(8) == pattern(size)
        assert (pending.transfer.kind, pending.transfer.attempts) == ("block", 1)
        assert codes(pending) == []


@pytest.mark.parametrize(
    ("index", "raw", "kind"),
    [
        (0x2000, b"\x01", "expedited"),
        (0x2001, b"\x02\x01", "expedited"),
        (0x2002, b"\x04\x03\x02\x01", "expedited"),
        (0x2004, b"xyz", "expedited"),
        (0x2005, b"hello", "segmented"),
        (0x2005, b"exactly 14 by.", "segmented"),
        (FILE, pattern(100), "segmented"),
        (FILE, pattern(889), "segmented"),
    ],
)
def test_write(network: Network, peer_server, index: int, raw: bytes, kind: str) -> None:
    pending = network[NODE].begin_download(index, 0, raw)
    pending.result(5)
    assert pending.transfer.kind == kind
    assert peer_server.ask("get", index=index) == raw.hex()


def test_block_write(network: Network, peer_server) -> None:
    for size in BLOCK_SIZES:
        pending = network[NODE].begin_download(FILE, 0, pattern(size), block=True)
        pending.result(8)
        assert (pending.transfer.kind, pending.transfer.attempts) == ("block", 1)
        assert peer_server.ask("get", index=FILE) == pattern(size).hex()


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize(
    ("index", "subindex", "code"), [(0x3000, 0, 0x06020000), (0x1200, 9, 0x06090011), (0x2008, 0, 0x06010001)]
)
def test_refused_read(network: Network, peer_server, index: int, subindex: int, code: int, block: bool) -> None:
    with pytest.raises(SdoAborted) as refused:
        network[NODE].begin_upload(index, subindex, block=block).result(5)
    assert refused.value.code == code
    assert network[NODE].upload(0x2001) == b"\xef\xbe"


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize(
    ("index", "raw", "code"),
    [
        (0x3000, b"\1", 0x06020000),
        (0x2007, b"\1\0\0\0", 0x06010002),
        (0x2009, b"\xff\0", 0x06090031),
        (0x2009, b"\1\0", 0x06090032),
    ],
)
def test_refused_write(network: Network, peer_server, index: int, raw: bytes, code: int, block: bool) -> None:
    with pytest.raises(SdoAborted) as refused:
        network[NODE].begin_download(index, 0, raw, block=block).result(5)
    assert refused.value.code == code
    assert network[NODE].upload(0x2001) == b"\xef\xbe"


@pytest.mark.parametrize("block", [False, True])
def test_a_cancelled_read_does_not_disturb_the_next(network: Network, peer_server, block: bool) -> None:
    peer_server.ask("set", index=FILE, data=pattern(20_000).hex())
    pending = network[NODE].begin_upload(FILE, block=block)
    until = time.monotonic() + 5
    while pending.transfer.transferred < 100 and time.monotonic() < until:
        network.sleep(0.001)
    pending.cancel()
    with pytest.raises(SdoCancelled):
        pending.result(5)
    assert 100 <= pending.transfer.transferred < 20_000
    assert network[NODE].upload(0x2001) == b"\xef\xbe"
    assert network[NODE].upload(0x2005) == LONG_STRING


def test_many_reads_at_once(network: Network, peer_server) -> None:
    items = [(NODE, 0x2001), (NODE, 0x2005), (NODE, 0x3000), (NODE, 0x2000)] * 5
    values = network.read_many(items, errors="return")
    assert values[0::4] == [b"\xef\xbe"] * 5
    assert values[1::4] == [LONG_STRING] * 5
    assert {type(value) for value in values[2::4]} == {SdoAborted}
    assert values[3::4] == [b"\x5a"] * 5


# --- its client, our server ---


@pytest.mark.parametrize("block", [False, True])
def test_it_reads_values(store: DictionaryStore, peer_client, block: bool) -> None:
    for index in (0x2000, 0x2001, 0x2002, 0x2003, 0x2005):
        assert peer_client.ask("upload", index=index, block=block) == store.values[index, 0].hex()


@pytest.mark.parametrize("block", [False, True])
def test_it_reads_a_file(store: DictionaryStore, peer_client, block: bool) -> None:
    for size in BLOCK_SIZES:
        store.values[FILE, 0] = pattern(size)
        assert peer_client.ask("upload", index=FILE, block=block) == pattern(size).hex()


@pytest.mark.parametrize("block", [False, True])
def test_it_writes_a_file(store: DictionaryStore, peer_client, block: bool) -> None:
    for size in BLOCK_SIZES:
        assert peer_client.ask("download", index=FILE, data=pattern(size).hex(), block=block) is None
        assert store.values[FILE, 0] == pattern(size)


@pytest.mark.parametrize("block", [False, True])
def test_it_writes_values(store: DictionaryStore, dictionary: ObjectDictionary, peer_client, block: bool) -> None:
    peer_client.ask("download", index=0x2001, data="3412", block=block)
    peer_client.ask("download", index=0x2010, subIndex=1, data="7856", block=block)
    peer_client.ask("download", index=0x2005, data=b"some other text".hex(), block=block)
    assert store.get(0x2001, 0) == 0x1234
    assert store.get(0x2010, 1) == 0x5678
    assert store.get(0x2005, 0) == "some other text"


@pytest.mark.parametrize("block", [False, True])
@pytest.mark.parametrize(
    ("command", "fields", "code"),
    [
        ("upload", {"index": 0x3000}, 0x06020000),
        ("upload", {"index": 0x2010, "subIndex": 9}, 0x06090011),
        ("upload", {"index": 0x2008}, 0x06010001),
        ("download", {"index": 0x1000, "data": "01000000"}, 0x06010002),
        ("download", {"index": 0x2001, "data": "01000000"}, 0x06070012),
        ("download", {"index": 0x2001, "data": "01"}, 0x06070013),
        ("download", {"index": 0x2001, "data": "0102030405"}, 0x06070012),
        ("download", {"index": 0x2009, "data": "ff00"}, 0x06090031),
        ("download", {"index": 0x2009, "data": "0100"}, 0x06090032),
    ],
)
def test_it_is_refused(store: DictionaryStore, peer_client, command: str, fields: dict, code: int, block: bool) -> None:
    before = dict(store.values)
    with pytest.raises(peer_client.Error) as refused:
        peer_client.ask(command, block=block, **fields)
    assert refused.value.code == code
    assert store.values == before
    assert peer_client.ask("upload", index=0x2001) == "efbe"
