"""Any mapping, set up by `node.pdo.map`, says the same everywhere.

That is: in samples, in a decoder that watches the bus, in a capture decoded afterwards from its first frame, and in one
that begins after the mapping; and it is what the device holds.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pdo_world import OBJECTS, World, bits_of, decoded, dictionary, same_values

import opendiag
from opendiag.decode.decoder import Decoder
from opendiag.dictionary import datatypes
from opendiag.dictionary.datatypes import DataType as T
from opendiag.frame import Frame
from opendiag.master.clock import ManualClock
from opendiag.services.pdo_layout import PdoLayout
from opendiag.wire.pdo import MappingEntry, unpack

STEPIM = 101
KINDS = dict(OBJECTS)
STRINGS = (T.VISIBLE_STRING, T.OCTET_STRING)


@pytest.fixture(scope="module")
def world():
    made = World()
    made.start()
    yield made
    made.close()


@pytest.fixture(scope="module")
def drive():
    with opendiag.connect("sim:stepim", clock=ManualClock()) as network:
        network.send(Frame(0, bytes([1, STEPIM])))
        network.sleep(0.1)
        yield network[STEPIM]


def fitting(entries):
    """As many of them as fit a PDO."""
    taken, bits = [], 0
    for entry in entries[:16]:
        if bits + entry[1] <= 64:
            taken.append(entry)
            bits += entry[1]
    return taken


def an_object(own):
    index, kind = own
    if kind in STRINGS:
        return st.integers(1, 8).map(lambda size: (index, 8 * size))
    if kind is T.BOOLEAN:
        return st.sampled_from([(index, 1), (index, 1), (index, 8)])
    return st.just((index, bits_of(kind)))


MAPPED = st.sampled_from(OBJECTS).flatmap(an_object)
#: A dummy by its index, with any width up to its own, and bits in any case.
DUMMY = st.sampled_from([(0x0001, 1), (0x0001, 3), (0x0005, 8), (0x0005, 5), (0x0006, 16), (0x0006, 11), (0x0002, 7)])
TPDO = st.lists(MAPPED, min_size=1, max_size=20).map(fitting)
RPDO = st.lists(MAPPED | DUMMY, min_size=1, max_size=20).map(fitting).filter(lambda got: any(i > 7 for i, _ in got))


def a_value(data, index, bits):
    """Bytes that the object may hold."""
    kind = KINDS[index]
    if kind is T.BOOLEAN:
        return data.draw(st.sampled_from([b"\0", b"\1"]))
    if kind is T.TIME_OF_DAY:
        ms, days = data.draw(st.integers(0, 86_399_999)), data.draw(st.integers(0, 0xFFFF))
        return ms.to_bytes(4, "little") + days.to_bytes(2, "little")
    size = bits // 8
    return data.draw(st.binary(min_size=size, max_size=size))


@given(st.data())
def test_what_a_device_sends(world, data):
    mapping = data.draw(TPDO)
    pdo = world.node.pdo.tpdo(1)
    samples = []
    live, watched = world.network.decoder(), []
    with world.network.frames() as capture:
        pdo.map([(index, 0, bits) for index, bits in mapping], transmission_type=1)
        held = {}
        for index, bits in mapping:
            held[index] = a_value(data, index, bits)
            world.put(index, held[index])
        end = pdo.subscribe(samples.append)
        world.sync()
        end()
        frames = list(iter(lambda: capture.get(0), None))
    for frame in frames:
        records = live.feed(frame)
        if frame.can_id == 0x185:
            watched = records
    assert len(samples) == 1
    assert samples[0].flags == ()
    layout = PdoLayout([MappingEntry(index, 0, bits) for index, bits in mapping], dictionary())
    watched = {record.bit_offset: record for record in watched}
    same_values(samples[0], layout, watched)
    same_values(samples[0], layout, decoded(frames, 0x185))
    alone = [frame for frame in frames if frame.can_id == 0x185]
    same_values(samples[0], layout, decoded(alone, 0x185, world.network.decoder()))
    on_the_wire = unpack(samples[0].raw, [bits for _, bits in mapping])
    for (index, bits), number in zip(mapping, on_the_wire, strict=True):
        assert number == int.from_bytes(held[index], "little") & (1 << bits) - 1


@given(st.data())
def test_what_a_device_receives(world, data):
    mapping = data.draw(RPDO)
    pdo = world.node.pdo.rpdo(1)
    pdo.map([(index, 0, bits) for index, bits in mapping], transmission_type=255)
    layout = pdo._channel.reading.layout
    assert len(layout.fields) == sum(index > 7 for index, _ in mapping)
    held = {}
    values = {}
    for field in layout.fields:
        raw = held.setdefault(field.index, a_value(data, field.index, field.bits))
        raw = raw.ljust(field.size, b"\0")[: field.size]  # the same object may be mapped again, with other bits
        held[field.index] = raw
        values[field.name] = field.decode(int.from_bytes(raw, "little"))
    with world.network.frames() as capture, pdo.samples() as stream:
        pdo.send(values)
        world.network.sleep(0.01)
        sample = stream.get(0)
        frames = list(iter(lambda: capture.get(0), None))
    assert sample.values == values or any(value != value for value in values.values())
    records = decoded(frames, 0x205, world.network.decoder())
    same_values(sample, layout, records)
    for index, raw in held.items():
        assert world.device.store.values[index, 0].rstrip(b"\0") == raw.rstrip(b"\0")


#: What the StepIM lets into a TPDO, with its bits.
DRIVE = [(0x6041, 16), (0x6061, 8), (0x6064, 32), (0x606C, 32), (0x6077, 16), (0x6078, 16), (0x603F, 16), (0x60F4, 32)]


@given(st.lists(st.sampled_from(DRIVE), min_size=1, max_size=4).map(fitting))
def test_what_the_simulated_drive_sends(drive, mapping):
    network = drive.network
    allowed = [(i, b) for i, b in mapping if (v := drive.dictionary.get(i, 0)) is not None and v.pdo_mappable]
    if not allowed:
        return
    pdo = drive.pdo.tpdo(2)
    samples = []
    live, watched = network.decoder(), []
    with network.frames() as capture:
        pdo.map([(index, 0, bits) for index, bits in allowed], transmission_type=1)
        end = pdo.subscribe(samples.append)
        network.send(Frame(0x80))
        network.sleep(0.01)
        end()
        frames = list(iter(lambda: capture.get(0), None))
    for frame in frames:
        records = live.feed(frame)
        if frame.can_id == 0x280 + STEPIM:
            watched = records
    layout = pdo._channel.reading.layout
    assert len(layout.fields) == len(allowed)
    same_values(samples[-1], layout, {record.bit_offset: record for record in watched})
    after = Decoder({STEPIM: drive.dictionary})
    same_values(samples[-1], layout, decoded(frames, 0x280 + STEPIM, after))


def expedited(node_id, index, subindex, raw):
    """Another master's write, and the device's answer."""
    head = index.to_bytes(2, "little") + bytes([subindex])
    request = bytes([0x23 | (4 - len(raw)) << 2]) + head + raw.ljust(4, b"\0")
    return [Frame(0x600 + node_id, request), Frame(0x580 + node_id, b"\x60" + head + bytes(4))]


ENTRIES = st.lists(
    st.tuples(st.sampled_from([*(index for index, _ in OBJECTS), 0x5000, 0x5001, 0x0005]), st.integers(1, 64)),
    min_size=1,
    max_size=20,
).map(fitting)


@pytest.fixture(scope="module")
def absent():
    """The dictionary is that of node 7, which is not there: what is on the bus of it is another master's talk."""
    made = World()
    made.network.node(7, made.dictionary)
    yield made
    made.close()


@given(ENTRIES, st.binary(min_size=8, max_size=8))
def test_any_width_from_1_to_64_that_another_master_maps(absent, mapping, payload):
    network = absent.network
    pdo = network[7].pdo.tpdo(1)
    bits = sum(width for _, width in mapping)
    samples = []
    end = pdo.subscribe(samples.append)
    talk = expedited(7, 0x1A00, 0, b"\0")
    for slot, (index, width) in enumerate(mapping, 1):
        talk += expedited(7, 0x1A00, slot, MappingEntry(index, 0, width).encode().to_bytes(4, "little"))
    talk += expedited(7, 0x1A00, 0, bytes([len(mapping)]))
    live, watched = network.decoder(), []
    with network.frames() as capture:
        for frame in [*talk, Frame(0x187, payload[: (bits + 7) // 8])]:
            absent.other.send(frame)
        network.sleep(0.05)
        frames = list(iter(lambda: capture.get(0), None))
    end()
    for frame in frames:
        records = live.feed(frame)
        if frame.can_id == 0x187:
            watched = [record for record in records if record.name != "dummy"]
    assert len(samples) == 1
    assert samples[0].flags == ()
    layout = PdoLayout([MappingEntry(index, 0, width) for index, width in mapping], dictionary())
    same_values(samples[0], layout, {record.bit_offset: record for record in watched})
    same_values(samples[0], layout, decoded(frames, 0x187, Decoder({7: dictionary()})))
    for field in layout.fields:
        number = int.from_bytes(payload, "little") >> field.offset & (1 << field.bits) - 1
        value = samples[0].values[field.name]
        if datatypes.is_integer(KINDS.get(field.index, 0)):
            assert value & (1 << field.bits) - 1 == number
