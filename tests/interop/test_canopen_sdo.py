"""SDO with the Python package `canopen`: its client and our server, our client and its server, and one bus for both."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import canopen
import pytest
from canopen import objectdictionary as od

from opendiag.dictionary.model import ObjectDictionary
from opendiag.errors import SdoAborted
from opendiag.master.network import Network
from opendiag.resources import bundled_path
from opendiag.services.object_store import DictionaryStore
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_server import SdoServer
from opendiag.simulate.devices import make_device

pytestmark = pytest.mark.interop

NODE = 5
FILE = 0x2006
#: 889 bytes are one full sub-block of 127 segments.
SIZES = [1, 2, 3, 4, 5, 6, 7, 8, 13, 14, 15, 100, 882, 888, 889, 890, 1778, 1779, 10_000]


def pattern(size: int) -> bytes:
    """Bytes that differ from segment to segment and from sub-block to sub-block."""
    return bytes((number * 7 + number // 251) % 256 for number in range(size))


def same_objects(dictionary: ObjectDictionary) -> od.ObjectDictionary:
    """Our device's dictionary as `canopen` has it."""
    made = od.ObjectDictionary()
    for variable in dictionary.variables():
        entry = od.ODVariable(variable.name, variable.index, variable.subindex)
        entry.data_type, entry.access_type = int(variable.data_type), variable.access
        entry.default = variable.default
        if len(dictionary.objects[variable.index].members) == 1 and variable.subindex == 0:
            made.add_object(entry)
        else:
            record = od.ODRecord(dictionary.objects[variable.index].name, variable.index)
            record.add_member(entry)
            made.add_object(record)
    return made


@pytest.fixture
def canopen_network(channel: str) -> Iterator[canopen.Network]:
    made = canopen.Network()
    made.NOTIFIER_CYCLE = 0.05  # disconnecting waits for its end
    made.connect(interface="virtual", channel=channel)
    yield made
    made.disconnect()


def remote(network: canopen.Network, dictionary: ObjectDictionary, node_id: int = NODE) -> canopen.RemoteNode:
    node = network.add_node(node_id, same_objects(dictionary))
    node.sdo.RESPONSE_TIMEOUT = 2.0
    return node


@pytest.fixture
def client(canopen_network: canopen.Network, dictionary: ObjectDictionary, store: DictionaryStore) -> Any:
    """Its client of our server."""
    return remote(canopen_network, dictionary).sdo


@pytest.fixture
def local(canopen_network: canopen.Network, dictionary: ObjectDictionary) -> canopen.LocalNode:
    """Its server, as node 5."""
    return canopen_network.create_node(NODE, same_objects(dictionary))


# --- its client, our server ---


def test_it_reads_values_by_name(client: Any) -> None:
    assert client["A byte"].raw == 0x5A
    assert client["A word"].raw == 0xBEEF
    assert client["A double word"].raw == 0xDEADBEEF
    assert client["A signed double word"].raw == -123456
    assert client["A long string"].raw == "A string that does not fit one frame"
    assert client["A record"]["Member"].raw == 0x1234


def test_it_writes_values(client: Any, store: DictionaryStore) -> None:
    client["A byte"].raw = 1
    client["A signed double word"].raw = -2
    client["A long string"].raw = "another string of some length"
    client["A record"]["Member"].raw = 3
    assert store.get(0x2000, 0) == 1
    assert store.get(0x2003, 0) == -2
    assert store.get(0x2005, 0) == "another string of some length"
    assert store.get(0x2010, 1) == 3


def test_it_reads_and_writes_segments(client: Any, store: DictionaryStore) -> None:
    for size in SIZES:
        client.download(FILE, 0, pattern(size), force_segment=True)
        assert store.values[FILE, 0] == pattern(size)
        store.values[FILE, 0] = pattern(size)[::-1]
        assert client.upload(FILE, 0) == pattern(size)[::-1]


@pytest.mark.parametrize("crc", [True, False])
def test_it_reads_blocks(client: Any, store: DictionaryStore, crc: bool) -> None:
    for size in SIZES:
        store.values[FILE, 0] = pattern(size)
        with client.open(FILE, 0, "rb", block_transfer=True, request_crc_support=crc) as stream:
            assert (stream.raw.size, stream.raw.crc_supported) == (size, True)
            stream.raw.crc_supported = crc  # it checks the CRC even where it has not asked for one
            assert stream.read() == pattern(size)
        assert client["A word"].raw == 0xBEEF


@pytest.mark.parametrize("crc", [True, False])
def test_it_writes_blocks(client: Any, store: DictionaryStore, crc: bool) -> None:
    for size in SIZES:
        with client.open(FILE, 0, "wb", size=size, block_transfer=True, request_crc_support=crc) as stream:
            stream.write(pattern(size))
        assert store.values[FILE, 0] == pattern(size)
        assert client["A word"].raw == 0xBEEF


@pytest.mark.parametrize(
    ("index", "subindex", "data", "code"),
    [
        (0x3000, 0, None, 0x06020000),
        (0x2010, 9, None, 0x06090011),
        (0x2008, 0, None, 0x06010001),
        (0x1000, 0, b"\0\0\0\0", 0x06010002),
        (0x2001, 0, b"\0\0\0\0", 0x06070012),
        (0x2001, 0, b"\0", 0x06070013),
        (0x2001, 0, b"\0\0\0\0\0", 0x06070012),
        (0x2009, 0, b"\xff\0", 0x06090031),
        (0x2009, 0, b"\1\0", 0x06090032),
    ],
)
def test_it_is_refused(
    client: Any, store: DictionaryStore, index: int, subindex: int, data: bytes | None, code: int
) -> None:
    before = dict(store.values)
    with pytest.raises(canopen.SdoAbortedError) as refused:
        client.upload(index, subindex) if data is None else client.download(index, subindex, data)
    assert refused.value.code == code
    assert store.values == before
    assert client["A word"].raw == 0xBEEF


# --- our client, its server ---


def test_reads_and_writes(network: Network, local: canopen.LocalNode) -> None:
    for size in SIZES:
        kind = "expedited" if size <= 4 else "segmented"
        written = network[NODE].begin_download(FILE, 0, pattern(size))
        written.result(5)
        assert local.get_data(FILE, 0) == pattern(size)
        local.set_data(FILE, 0, pattern(size)[::-1])
        read = network[NODE].begin_upload(FILE)
        assert read.result(5) == pattern(size)[::-1]
        assert (written.transfer.kind, read.transfer.kind) == (kind, kind)
    assert not network.oddities


@pytest.mark.parametrize(("size", "kind"), [(1, "expedited"), (4, "expedited"), (5, "segmented"), (1000, "segmented")])
def test_a_block_read_falls_back(network: Network, local: canopen.LocalNode, size: int, kind: str) -> None:
    local.set_data(FILE, 0, pattern(size))
    pending = network[NODE].begin_upload(FILE, block=True)
    assert pending.result(5) == pattern(size)
    assert pending.transfer.kind == kind
    assert [finding.code for finding in pending.transfer.oddities] == ["SDO-PROTOCOL-SWITCH"]


@pytest.mark.parametrize(("size", "kind"), [(1, "expedited"), (4, "expedited"), (5, "segmented"), (1000, "segmented")])
def test_a_block_write_falls_back(network: Network, local: canopen.LocalNode, size: int, kind: str) -> None:
    """It aborts a block download with 0504 0001."""
    pending = network[NODE].begin_download(FILE, 0, pattern(size), block=True)
    pending.result(5)
    assert pending.transfer.kind == kind
    assert local.get_data(FILE, 0) == pattern(size)


@pytest.mark.parametrize(
    ("index", "subindex", "data", "code"),
    [
        (0x3000, 0, None, 0x06020000),
        (0x2010, 9, None, 0x06090011),
        (0x2008, 0, None, 0x06010001),
        (0x1000, 0, b"\0\0\0\0", 0x06010002),
    ],
)
def test_refused(
    network: Network, local: canopen.LocalNode, index: int, subindex: int, data: bytes | None, code: int
) -> None:
    node = network[NODE]
    pending = node.begin_upload(index, subindex) if data is None else node.begin_download(index, subindex, data)
    with pytest.raises(SdoAborted) as refused:
        pending.result(5)
    assert refused.value.code == code
    assert node.upload(0x2001) == b"\xef\xbe"


# --- one bus for both ---


@pytest.fixture
def shared(network: Network, run_devices: Callable[..., Any], dictionary: ObjectDictionary) -> canopen.Network:
    """`canopen` on the bus of our network, with our servers as nodes 5 and 6."""
    run_devices(*(SdoServer(SdoChannel.default(number), DictionaryStore(dictionary, number)) for number in (5, 6)))
    return network.canopen()


def test_both_use_the_same_node_in_turn(
    network: Network, shared: canopen.Network, dictionary: ObjectDictionary
) -> None:
    sdo = remote(shared, dictionary).sdo
    heard: queue.Queue[bytes] = queue.Queue()
    shared.subscribe(sdo.tx_cobid, lambda can_id, data, timestamp: heard.put(bytes(data)))
    for number in range(20):
        sdo["A word"].raw = number
        assert network[NODE].upload(0x2001) == bytes([number, 0])
        network[NODE].download(0x2001, 0, bytes([number, 1]))
        for _ in range(3):  # it takes any answer that comes while it waits for one of its own
            heard.get(timeout=5)
        assert sdo["A word"].raw == number + 0x100
        heard.get(timeout=5)
    assert not network.oddities


def test_both_read_different_nodes_at_once(
    network: Network, shared: canopen.Network, dictionary: ObjectDictionary
) -> None:
    sdo = remote(shared, dictionary, 6).sdo
    seen: list[Any] = []
    threads = [
        threading.Thread(target=lambda: seen.extend(sdo["A long string"].raw for _ in range(30)), daemon=True),
        threading.Thread(target=lambda: seen.extend(network[NODE].upload(0x2001) for _ in range(100)), daemon=True),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(8)
    assert not [thread for thread in threads if thread.is_alive()]
    assert seen.count("A string that does not fit one frame") == 30
    assert seen.count(b"\xef\xbe") == 100
    assert not network.oddities


def test_its_scanner_finds_our_nodes(network: Network, shared: canopen.Network) -> None:
    shared.scanner.search(10)
    network.sleep(0.5)
    assert sorted(set(shared.scanner.nodes)) == [5, 6]


def test_closing_our_network_ends_all_of_it(network: Network, shared: canopen.Network) -> None:
    begun = time.monotonic()
    network.close()
    network.close()
    assert time.monotonic() - begun < 2
    names = [thread.name for thread in threading.enumerate()]
    assert not [name for name in names if network.name in name]
    shared.disconnect()


def test_canopen_may_leave_before(network: Network, shared: canopen.Network) -> None:
    shared.disconnect()
    assert network[NODE].upload(0x2001) == b"\xef\xbe"


def test_it_talks_to_a_simulated_stepim(network: Network, run_devices: Callable[..., Any]) -> None:
    """Through our network, with the EDS that both have."""
    run_devices(make_device("stepim"))
    shared = network.canopen()
    node = shared.add_node(101, str(bundled_path("eds") / "stepim.eds"))
    node.sdo.RESPONSE_TIMEOUT = 2.0
    assert node.sdo["Identity Object"]["Vendor ID"].raw == 0x2E1
    node.sdo[0x607A].raw = -4096
    assert network[101]["Target Position"].read() == -4096
    name = network.read(101, 0x1008)
    assert (node.sdo[0x1008].raw, network[101].dictionary.name) == (name, "stepim")
    boot_ups: queue.Queue[bytes] = queue.Queue()
    shared.subscribe(0x700 + 101, lambda can_id, data, timestamp: boot_ups.put(bytes(data)))
    node.nmt.send_command(0x81)
    assert boot_ups.get(timeout=5) == b"\0"
