"""PDOs with the Python package `canopen`: its node configures and hears our device, its bits against our layouts."""

from __future__ import annotations

import queue
import struct
from collections.abc import Callable, Iterator
from typing import Any

import canopen
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pdo_bench import DICTIONARY, NO_RTR, OFF, PROCESS

from opendiag.dictionary.datatypes import BIT_WIDTHS, DataType
from opendiag.services.pdo_layout import PdoLayout
from opendiag.simulate.node import SimNode
from opendiag.wire.pdo import MappingEntry

pytestmark = pytest.mark.interop

NODE = 5
TPDO, RPDO = 0x185, 0x205
BIT, BYTE, WORD, LONG, REAL = 0x2001, 0x2005, 0x2003, 0x2007, 0x2008


@pytest.fixture
def canopen_network(channel: str) -> Iterator[canopen.Network]:
    made = canopen.Network()
    made.NOTIFIER_CYCLE = 0.05
    made.connect(interface="virtual", channel=channel)
    yield made
    made.disconnect()


@pytest.fixture
def device(run_devices: Callable[..., Any]) -> SimNode:
    made = SimNode(DICTIONARY, NODE)
    run_devices(made)
    return made


@pytest.fixture
def node(canopen_network: canopen.Network, device: SimNode) -> canopen.RemoteNode:
    made = canopen_network.add_node(NODE, DICTIONARY.to_canopen(NODE))
    made.sdo.RESPONSE_TIMEOUT = 2.0
    return made


def configure(pdo: Any, objects: list[int], can_id: int, kind: int, **more: Any) -> Any:
    """Its five steps by SDO."""
    pdo.clear()
    for index in objects:
        pdo.add_variable(index, 0, 1 if index == BIT else None)
    pdo.cob_id, pdo.trans_type, pdo.enabled = can_id, kind, True
    for name, value in more.items():
        setattr(pdo, name, value)
    pdo.save()
    return pdo


def heard(pdo: Any) -> queue.Queue[tuple[Any, ...]]:
    """The values of every frame of this PDO."""
    values: queue.Queue[tuple[Any, ...]] = queue.Queue()
    pdo.add_callback(lambda each: values.put(tuple(variable.raw for variable in each)))
    return values


def start(node: canopen.RemoteNode, device: SimNode) -> None:
    node.nmt.state = "OPERATIONAL"
    node.sdo[0x1000].raw  # noqa: B018  what it answers, it answers after the command


# --- configuration ---


def test_it_saves_a_configuration_and_reads_it_again(node: Any, device: SimNode) -> None:
    node.tpdo[2].rtr_allowed = False
    configure(node.tpdo[2], [WORD, BYTE, REAL], 0x285, 254, inhibit_time=15, event_timer=250)
    ours = device.pdos.parameters(True, 2)
    assert (ours.active, ours.cob.can_id, ours.remote_allowed, ours.transmission_type) == (True, 0x285, False, 254)
    assert (ours.inhibit_s, ours.event_s, ours.bits) == (0.0015, 0.25, 56)
    again = canopen.RemoteNode(NODE, DICTIONARY.to_canopen(NODE))
    again.associate_network(node.network)
    again.tpdo[2].read()
    theirs = again.tpdo[2]
    assert (theirs.enabled, theirs.cob_id, theirs.rtr_allowed, theirs.trans_type) == (True, 0x285, False, 254)
    assert (theirs.inhibit_time, theirs.event_timer, theirs.length) == (15, 250, 56)
    assert [(each.index, each.length) for each in theirs.map] == [(WORD, 16), (BYTE, 8), (REAL, 32)]


def test_what_it_reads_is_what_our_dictionary_says(node: Any, device: SimNode) -> None:
    device.store.set(0x1802, 1, 0x385 | OFF | NO_RTR)
    device.store.set(0x1802, 2, 3)
    device.pdos.reload()
    node.tpdo[3].read()
    assert (node.tpdo[3].enabled, node.tpdo[3].cob_id, node.tpdo[3].trans_type) == (False, 0x385, 3)


@pytest.mark.parametrize(
    ("index", "value", "code"),
    [(0x1A00, 0x2200_0008, 0x06040041), (0x1A00, 0x2F00_0008, 0x06020000), (0x1600, 0x2101_0008, 0x06040041)],
)
def test_it_is_told_what_cannot_be_mapped(node: Any, index: int, value: int, code: int) -> None:
    with pytest.raises(canopen.SdoAbortedError) as refused:
        node.sdo[index][1].raw = value
    assert refused.value.code == code


# --- our TPDOs ---


def test_it_hears_our_tpdo_at_an_event_and_at_the_timer(node: Any, device: SimNode) -> None:
    values = heard(configure(node.tpdo[1], [WORD, BYTE, BIT], TPDO, 255, event_timer=100))
    start(node, device)
    assert values.get(timeout=2) == (0, 0, False)
    node.sdo[WORD].raw = -2
    seen = {values.get(timeout=2) for _ in range(2)}
    assert (-2, 0, False) in seen
    assert values.get(timeout=2) == (-2, 0, False), "the event timer repeats it"


def test_it_hears_our_tpdo_with_every_second_sync(node: Any, device: SimNode) -> None:
    values = heard(configure(node.tpdo[1], [LONG], TPDO, 2))
    start(node, device)
    for number in range(1, 7):
        node.sdo[LONG].raw = number
        node.network.sync.transmit()
        node.sdo[LONG].raw  # noqa: B018
    assert [values.get(timeout=2) for _ in range(3)] == [(2,), (4,), (6,)]
    assert values.empty()


@pytest.mark.parametrize("kind", [252, 253, 255])
def test_its_remote_request_is_answered(node: Any, device: SimNode, kind: int) -> None:
    values = heard(configure(node.tpdo[1], [BYTE, REAL], TPDO, kind))
    node.sdo[BYTE].raw, node.sdo[REAL].raw = 200, -0.5
    start(node, device)
    if kind == 252:
        node.network.sync.transmit()
    if kind == 255:
        assert values.get(timeout=2) == (200, -0.5)
    assert values.empty()
    node.tpdo[1].remote_request()
    assert values.get(timeout=2) == (200, -0.5)


def test_a_remote_request_that_is_not_allowed_is_not_answered(node: Any, device: SimNode) -> None:
    values = heard(configure(node.tpdo[1], [BYTE], TPDO, 253, rtr_allowed=False))
    start(node, device)
    node.network.send_message(TPDO, b"", remote=True)
    node.sdo[BYTE].raw  # noqa: B018
    assert values.empty() and device.pdos.tpdos[0].requests_refused == 1


# --- its RPDOs ---


def test_its_rpdo_acts_at_once_or_at_sync(node: Any, device: SimNode) -> None:
    for kind, at_once in ((255, True), (1, False)):
        node.nmt.state = "PRE-OPERATIONAL"
        pdo = configure(node.rpdo[1], [WORD, BYTE, REAL], RPDO, kind)
        start(node, device)
        pdo[0].raw, pdo[1].raw, pdo[2].raw = -kind, 7, 1.5
        pdo.transmit()
        assert (node.sdo[WORD].raw == -kind) is at_once
        node.network.sync.transmit()
        assert (node.sdo[WORD].raw, node.sdo[BYTE].raw, node.sdo[REAL].raw) == (-kind, 7, 1.5)


def test_its_rpdo_of_another_length_is_an_emcy(node: Any, device: SimNode) -> None:
    codes: queue.Queue[int] = queue.Queue()
    node.emcy.add_callback(lambda error: codes.put(error.code))
    configure(node.rpdo[1], [BYTE, WORD], RPDO, 255, event_timer=300)
    start(node, device)
    for data, code, value in ((b"\1", 0x8210, 0), (b"\2\0\0\0", 0x8220, 2)):
        node.network.send_message(RPDO, data)
        assert (codes.get(timeout=2), node.sdo[BYTE].raw) == (code, value)
    node.network.send_message(RPDO, b"\3\0\0")
    assert [codes.get(timeout=2) for _ in range(3)] == [0, 0, 0x8250]


# --- bits: what its LocalNode makes of a mapping, and what we do ---

WHOLE = [
    (index, kind) for index, kind, access in PROCESS if access == "rw" and kind in BIT_WIDTHS and kind not in (1, 0xC)
]


@settings(max_examples=60, deadline=None)
@given(
    objects=st.lists(st.sampled_from(WHOLE), min_size=1, max_size=8, unique=True).filter(
        lambda chosen: sum(BIT_WIDTHS[kind] for _, kind in chosen) <= 64
    ),
    data=st.binary(min_size=8, max_size=8),
)
def test_its_local_node_and_our_layout_agree_on_whole_bytes(objects: list[tuple[int, DataType]], data: bytes) -> None:
    local = canopen.LocalNode(NODE, DICTIONARY.to_canopen(NODE))
    theirs = local.tpdo[1]
    theirs.clear()
    for index, _ in objects:
        theirs.add_variable(index)
    ours = PdoLayout([MappingEntry(index, 0, BIT_WIDTHS[kind]) for index, kind in objects], DICTIONARY)
    data = data[: ours.length]
    theirs.data = bytearray(data)
    values = [variable.raw for variable in theirs]
    assert [repr(value) for value in ours.decode(data)] == [repr(value) for value in values]
    if all(value == value for value in values):  # NaN
        theirs.data = bytearray(ours.length)
        for variable, value in zip(theirs, ours.decode(data), strict=True):
            variable.raw = value
        assert bytes(theirs.data) == ours.encode(values) == data


def test_bits_of_one_byte_are_where_it_has_them() -> None:
    local = canopen.LocalNode(NODE, DICTIONARY.to_canopen(NODE))
    theirs = local.tpdo[1]
    theirs.clear()
    for length in (1, 1, 1):
        theirs.add_variable(BIT, 0, length)
    theirs.add_variable(BYTE, 0, 5)
    ours = PdoLayout([MappingEntry(BIT, 0, 1)] * 3 + [MappingEntry(BYTE, 0, 5)], DICTIONARY)
    for number in range(256):
        theirs.data = bytearray([number])
        assert list(ours.decode(struct.pack("B", number))) == [variable.raw for variable in theirs]
