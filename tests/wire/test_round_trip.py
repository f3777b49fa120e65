"""Laws that hold for every message: what is encoded is decoded as the same; what is not understood is a WireError."""

import dataclasses
import enum
import typing
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.errors import WireError
from opendiag.wire import cob_id, emcy, heartbeat, lss, nmt, pdo, sdo, sdo_block, sync, time_stamp
from opendiag.wire.lss import LssCommand as C

u7, u8, u16, u28, u32 = (st.integers(0, (1 << bits) - 1) for bits in (7, 8, 16, 28, 32))
block_size = st.integers(1, 127)
size = st.none() | u32
target = {"index": u16, "subindex": u8}


def up_to(count):
    return st.binary(max_size=count)


def initiate(cls):
    """The three ways to start a transfer: expedited with its size, expedited without, segmented."""
    build = partial(st.builds, cls, **target)
    sized = build(data=st.binary(min_size=1, max_size=4))
    unsized = build(data=st.binary(min_size=4, max_size=4), sized=st.just(False))
    return sized | unsized | build(size=size)


SELECT = [C.SELECT_VENDOR, C.SELECT_PRODUCT, C.SELECT_REVISION, C.SELECT_SERIAL]
IDENTIFY = [
    command for command in C if command.name.startswith("IDENTIFY_") and command is not C.IDENTIFY_NON_CONFIGURED
]
INQUIRE_PART = [C.INQUIRE_VENDOR, C.INQUIRE_PRODUCT, C.INQUIRE_REVISION, C.INQUIRE_SERIAL]
ANSWERED = [C.CONFIGURE_NODE_ID, C.CONFIGURE_BIT_TIMING, C.STORE]

#: (class, decode, strategy): all messages a peer may send. A class has two rows where both directions use it.
MESSAGES = [
    (sdo.DownloadInitiate, sdo.decode_request, initiate(sdo.DownloadInitiate)),
    (sdo.UploadInitiated, sdo.decode_response, initiate(sdo.UploadInitiated)),
    (sdo.DownloadInitiated, sdo.decode_response, st.builds(sdo.DownloadInitiated, **target)),
    (sdo.UploadInitiate, sdo.decode_request, st.builds(sdo.UploadInitiate, **target)),
    (sdo.Segment, sdo.decode_request, st.builds(sdo.Segment, data=up_to(7))),
    (sdo.Segment, sdo.decode_response, st.builds(sdo.Segment, data=up_to(7))),
    (sdo.SegmentRequest, sdo.decode_request, st.builds(sdo.SegmentRequest)),
    (sdo.SegmentAck, sdo.decode_response, st.builds(sdo.SegmentAck)),
    (sdo.Abort, sdo.decode_request, st.builds(sdo.Abort, **target, code=u32)),
    (sdo.Abort, sdo.decode_response, st.builds(sdo.Abort, **target, code=u32)),
    (
        sdo_block.BlockDownloadInitiate,
        sdo.decode_request,
        st.builds(sdo_block.BlockDownloadInitiate, **target, size=size, crc=st.booleans()),
    ),
    (
        sdo_block.BlockUploadInitiated,
        sdo.decode_response,
        st.builds(sdo_block.BlockUploadInitiated, **target, size=size, crc=st.booleans()),
    ),
    (
        sdo_block.BlockDownloadInitiated,
        sdo.decode_response,
        st.builds(sdo_block.BlockDownloadInitiated, **target, block_size=block_size, crc=st.booleans()),
    ),
    (
        sdo_block.BlockUploadInitiate,
        sdo.decode_request,
        st.builds(sdo_block.BlockUploadInitiate, **target, block_size=block_size, switch_below=u8, crc=st.booleans()),
    ),
    (sdo_block.BlockUploadStart, sdo.decode_request, st.builds(sdo_block.BlockUploadStart)),
    (
        sdo_block.BlockAck,
        sdo.decode_request,
        st.builds(sdo_block.BlockAck, sequence=u7, block_size=u7),
    ),
    (
        sdo_block.BlockAck,
        sdo.decode_response,
        st.builds(sdo_block.BlockAck, sequence=u7, block_size=u7),
    ),
    (sdo_block.BlockEnd, sdo.decode_request, st.builds(sdo_block.BlockEnd, unused=st.integers(0, 7), crc=u16)),
    (sdo_block.BlockEnd, sdo.decode_response, st.builds(sdo_block.BlockEnd, unused=st.integers(0, 7), crc=u16)),
    (sdo_block.BlockEnded, sdo.decode_request, st.builds(sdo_block.BlockEnded)),
    (sdo_block.BlockEnded, sdo.decode_response, st.builds(sdo_block.BlockEnded)),
    (
        sdo_block.BlockSegment,
        sdo_block.BlockSegment.decode,
        st.builds(sdo_block.BlockSegment, sequence=block_size, data=st.binary(min_size=7, max_size=7)),
    ),
    (nmt.NmtMessage, nmt.NmtMessage.decode, st.builds(nmt.NmtMessage, node_id=u7)),
    (heartbeat.ErrorControl, heartbeat.ErrorControl.decode, st.builds(heartbeat.ErrorControl, toggle=st.booleans())),
    (sync.Sync, sync.Sync.decode, st.builds(sync.Sync, counter=st.none() | st.integers(1, 240))),
    (time_stamp.TimeOfDay, time_stamp.TimeOfDay.decode, st.builds(time_stamp.TimeOfDay, ms=u28, days=u16)),
    (
        emcy.Emcy,
        emcy.Emcy.decode,
        st.builds(emcy.Emcy, code=u16, register=u8, manufacturer=st.binary(min_size=5, max_size=5)),
    ),
    (emcy.ErrorEntry, emcy.ErrorEntry.decode, st.builds(emcy.ErrorEntry, code=u16, information=u16)),
    (lss.Switch, lss.decode_request, st.builds(lss.Switch)),
    (
        lss.AddressPart,
        lss.decode_request,
        st.builds(lss.AddressPart, command=st.sampled_from(SELECT + IDENTIFY), number=u32),
    ),
    (
        lss.AddressPart,
        lss.decode_response,
        st.builds(lss.AddressPart, command=st.sampled_from(INQUIRE_PART), number=u32),
    ),
    (
        lss.Inquire,
        lss.decode_request,
        st.builds(lss.Inquire, command=st.sampled_from([*INQUIRE_PART, C.INQUIRE_NODE_ID])),
    ),
    (lss.NodeIdAnswer, lss.decode_response, st.builds(lss.NodeIdAnswer, node_id=u8)),
    (lss.ConfigureNodeId, lss.decode_request, st.builds(lss.ConfigureNodeId, node_id=u8)),
    (lss.ConfigureBitTiming, lss.decode_request, st.builds(lss.ConfigureBitTiming, table=u8, index=u8)),
    (lss.ActivateBitTiming, lss.decode_request, st.builds(lss.ActivateBitTiming, delay_ms=u16)),
    (lss.Bare, lss.decode_request, st.builds(lss.Bare, command=st.sampled_from([C.STORE, C.IDENTIFY_NON_CONFIGURED]))),
    (
        lss.Bare,
        lss.decode_response,
        st.builds(lss.Bare, command=st.sampled_from([C.SELECTED, C.IDENTIFIED, C.IDENTIFIED_NON_CONFIGURED])),
    ),
    (
        lss.Result,
        lss.decode_response,
        st.builds(lss.Result, command=st.sampled_from(ANSWERED), error=u8, specific=u8),
    ),
    (
        lss.Fastscan,
        lss.decode_request,
        st.builds(
            lss.Fastscan,
            number=u32,
            bit_check=st.integers(0, 31) | st.just(128),
            part=st.integers(0, 3),
            next_part=st.integers(0, 3),
        ),
    ),
    (pdo.MappingEntry, pdo.MappingEntry.decode, st.builds(pdo.MappingEntry, index=u16, subindex=u8, bits=u8)),
    (
        pdo.Mpdo,
        pdo.Mpdo.decode,
        st.builds(pdo.Mpdo, node_id=u7, **target, data=st.binary(min_size=4, max_size=4)),
    ),
    (pdo.ScannerEntry, pdo.ScannerEntry.decode, st.builds(pdo.ScannerEntry, **target, count=u8)),
    (
        pdo.DispatchEntry,
        pdo.DispatchEntry.decode,
        st.builds(pdo.DispatchEntry, node_id=u8, sent_index=u16, sent_subindex=u8, **target, count=u8),
    ),
    (
        cob_id.CobId,
        cob_id.CobId.decode,
        st.builds(cob_id.CobId, can_id=st.integers(0, 0x7FF), bit_31=st.booleans(), bit_30=st.booleans())
        | st.builds(
            cob_id.CobId,
            can_id=st.integers(0, 0x1FFF_FFFF),
            extended=st.just(True),
            bit_31=st.booleans(),
            bit_30=st.booleans(),
        ),
    ),
]


def name(value):
    return value.__name__ if isinstance(value, type) else getattr(value, "__qualname__", None) and value.__qualname__


each_message = pytest.mark.parametrize(("cls", "decode", "messages"), MESSAGES, ids=lambda v: name(v) or "")


@each_message
@given(data=st.data())
def test_what_is_encoded_is_decoded_as_the_same(cls, decode, messages, data):
    message = data.draw(messages)
    assert decode(message.encode()) == message
    assert type(decode(message.encode())) is cls


@each_message
@given(data=st.data())
def test_every_message_has_a_hash_and_cannot_be_changed(cls, decode, messages, data):
    message = data.draw(messages)
    assert hash(message) == hash(decode(message.encode()))
    with pytest.raises((dataclasses.FrozenInstanceError, AttributeError, TypeError)):
        message.new_attribute = 1
    for field in dataclasses.fields(message):
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(message, field.name, None)


# --- any bytes ------------------------------------------------------------------------------------------------------

WIRE_MODULES = (emcy, heartbeat, lss, nmt, sdo, sdo_block, sync, time_stamp)
DECODERS = [sdo.decode_request, sdo.decode_response, lss.decode_request, lss.decode_response]
DECODERS += sorted(
    {
        thing.decode
        for module in WIRE_MODULES
        for thing in vars(module).values()
        if dataclasses.is_dataclass(thing) and hasattr(thing, "decode")
    },
    key=lambda decode: decode.__qualname__,
)
each_decoder = pytest.mark.parametrize(
    "decode", DECODERS, ids=lambda d: f"{d.__module__.rsplit('.')[-1]}.{d.__qualname__}"
)


def check_any_bytes(decode, data):
    try:
        message = decode(data)
    except WireError as error:
        assert error.reason
        assert error.data == data
        return False
    assert decode(message.encode()) == message
    assert getattr(message, "text", "text")
    return True


@each_decoder
@given(data=st.binary(max_size=64) | st.binary(min_size=8, max_size=8))
def test_any_bytes_are_a_message_or_a_wire_error(decode, data):
    check_any_bytes(decode, data)


@each_decoder
def test_every_first_byte_and_every_length(decode):
    understood = 0
    for command in range(256):
        for tail in (bytes(63), b"\xff" * 63, b"\x01\x02\x03\x04\x7f\x01\x02" * 9):
            for length in (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 64):
                understood += check_any_bytes(decode, (bytes([command]) + tail)[:length])
    assert understood, "nothing at all was understood"


@given(value=u32)
def test_any_word_is_a_cob_id_and_a_mapping_entry(value):
    entry = pdo.MappingEntry.decode(value)
    assert entry.encode() == value
    cob = cob_id.CobId.decode(value)
    assert cob_id.CobId.decode(cob.encode()) == cob
    assert cob.encode() & ~value == 0, "a bit came from nowhere"


# --- any field values -----------------------------------------------------------------------------------------------

EDGES = [
    -1,
    0,
    1,
    3,
    4,
    7,
    8,
    31,
    32,
    127,
    128,
    240,
    241,
    255,
    256,
    0x7FF,
    0x800,
    0xFFFF,
    0x10000,
    (1 << 28) - 1,
    1 << 28,
]
EDGES += [(1 << 29) - 1, 1 << 29, 1 << 31, (1 << 32) - 1, 1 << 32]


def any_value(kind):
    options = []
    for candidate in typing.get_args(kind) or (kind,):
        if candidate is type(None):
            options.append(st.none())
        elif candidate is bool:
            options.append(st.booleans())
        elif candidate is bytes:
            options.append(st.binary(max_size=10))
        elif isinstance(candidate, enum.EnumMeta):
            options.append(st.sampled_from(candidate))
        else:
            options.append(st.sampled_from(EDGES) | st.integers(-(1 << 33), 1 << 33))
    return st.one_of(options)


def any_instance(cls):
    hints = typing.get_type_hints(cls)
    return st.builds(cls, **{field.name: any_value(hints[field.name]) for field in dataclasses.fields(cls)})


def meant(message):
    """The same message, with the fields that mean nothing in it as decode leaves them."""
    if isinstance(message, sdo.Initiate) and message.data is None:
        return dataclasses.replace(message, sized=True)
    if isinstance(message, sdo_block.BlockSegment):
        return dataclasses.replace(message, data=message.data.ljust(7, b"\0"))
    if isinstance(message, pdo.Mpdo):
        return dataclasses.replace(message, data=message.data.ljust(4, b"\0"))
    return message


@each_message
@given(data=st.data())
def test_encode_refuses_or_says_exactly_what_the_fields_hold(cls, decode, messages, data):
    message = data.draw(any_instance(cls))
    try:
        encoded = message.encode()
    except WireError as error:
        assert str(error)
        return
    readings = []
    for row_class, row_decode, _ in MESSAGES:
        if row_class is cls:
            try:
                readings.append(row_decode(encoded))
            except WireError:
                continue
    assert meant(message) in readings


def test_every_message_class_is_in_the_table():
    classes = {
        thing
        for module in (*WIRE_MODULES, cob_id, pdo)
        for thing in vars(module).values()
        if dataclasses.is_dataclass(thing) and hasattr(thing, "encode")
    }
    assert {row[0] for row in MESSAGES} == classes
