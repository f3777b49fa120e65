"""The codecs against an independent stack: what the `canopen` package sends and understands.

Its client talks to its own server, or to answers made by our codecs; every frame that it sends must be one that
our codecs read and would write in the same bytes.
"""

import binascii
import types

import canopen
import pytest
from canopen.objectdictionary import ODVariable, datatypes

from opendiag.frame import Frame
from opendiag.wire import lss, sdo
from opendiag.wire.cob_id import Connection, Service, classify
from opendiag.wire.emcy import Emcy
from opendiag.wire.heartbeat import ErrorControl
from opendiag.wire.lss import LssCommand
from opendiag.wire.nmt import NmtCommand, NmtMessage, NmtState
from opendiag.wire.sdo_block import (
    BlockAck,
    BlockDownloadInitiate,
    BlockDownloadInitiated,
    BlockEnd,
    BlockEnded,
    BlockSegment,
    BlockUploadInitiate,
    BlockUploadInitiated,
    BlockUploadStart,
)
from opendiag.wire.sync import Sync
from opendiag.wire.time_stamp import TimeOfDay

pytestmark = pytest.mark.interop

NODE_ID = 101
RESPONSE = 0x580 + NODE_ID
DECODE = {
    Service.SDO_REQUEST: sdo.decode_request,
    Service.SDO_RESPONSE: sdo.decode_response,
    Service.LSS_REQUEST: lss.decode_request,
    Service.LSS_RESPONSE: lss.decode_response,
    Service.NMT: NmtMessage.decode,
    Service.SYNC: Sync.decode,
    Service.TIME: TimeOfDay.decode,
    Service.EMCY: Emcy.decode,
    Service.ERROR_CONTROL: ErrorControl.decode,
}


class Bus(canopen.Network):
    """Keeps what is sent, hands it to the other end, and answers with what ``answer`` returns."""

    def __init__(self):
        super().__init__()
        self.sent = []
        self.other = None
        self.answer = None

    def send_message(self, can_id, data, remote=False):
        frame = Frame(can_id, bytes(data), remote=remote)
        self.sent.append(frame)
        if self.other is not None:
            self.other.notify(can_id, bytearray(data), 0.0)
        if self.answer is not None:
            for reply_id, reply in self.answer(frame):
                self.notify(reply_id, bytearray(reply), 0.0)


def read(frames):
    """Decode frames and insist on the same bytes back."""
    messages = []
    for frame in frames:
        message = DECODE[classify(frame).service](frame.data)
        assert message.encode() == frame.data, frame
        messages.append(message)
    return messages


@pytest.fixture
def pair():
    """A client and a server of the canopen package, joined without a bus or a thread."""
    dictionary = canopen.ObjectDictionary()
    for index, data_type in (
        (0x2001, datatypes.UNSIGNED8),
        (0x2002, datatypes.UNSIGNED16),
        (0x2003, datatypes.UNSIGNED24),
        (0x2004, datatypes.UNSIGNED32),
        (0x2005, datatypes.DOMAIN),
    ):
        variable = ODVariable(f"object {index:X}", index)
        variable.data_type = data_type
        dictionary.add_object(variable)
    client_bus, server_bus = Bus(), Bus()
    client_bus.other, server_bus.other = server_bus, client_bus
    remote = client_bus.add_node(canopen.RemoteNode(NODE_ID, dictionary))
    local = server_bus.create_node(canopen.LocalNode(NODE_ID, dictionary))
    client_bus.sent.clear()
    server_bus.sent.clear()
    return remote, local


def traffic(pair):
    remote, local = pair
    return read(remote.network.sent), read(local.network.sent)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_expedited_transfers(pair, length):
    data = b"\xa1\xb2\xc3\xd4"[:length]
    index = 0x2000 + length
    pair[0].sdo.download(index, 0, data)
    assert pair[0].sdo.upload(index, 0) == data
    assert traffic(pair) == (
        [sdo.DownloadInitiate(index, 0, data), sdo.UploadInitiate(index, 0)],
        [sdo.DownloadInitiated(index, 0), sdo.UploadInitiated(index, 0, data)],
    )


@pytest.mark.parametrize("length", [5, 6, 7, 8, 13, 14, 15, 100])
def test_segmented_transfers(pair, length):
    data = bytes(range(1, length + 1))
    pair[0].sdo.download(0x2005, 0, data)
    assert pair[0].sdo.upload(0x2005, 0) == data
    count = -(-length // 7)
    segments = [
        sdo.Segment(toggle=bool(i % 2), data=data[7 * i : 7 * i + 7], last=i == count - 1) for i in range(count)
    ]
    toggles = [bool(i % 2) for i in range(count)]
    requests, responses = traffic(pair)
    assert requests == [
        sdo.DownloadInitiate(0x2005, 0, size=length),
        *segments,
        sdo.UploadInitiate(0x2005, 0),
        *map(sdo.SegmentRequest, toggles),
    ]
    assert responses == [
        sdo.DownloadInitiated(0x2005, 0),
        *map(sdo.SegmentAck, toggles),
        sdo.UploadInitiated(0x2005, 0, size=length),
        *segments,
    ]


def test_a_download_without_a_size_ends_in_an_empty_segment(pair):
    with pair[0].sdo.open(0x2005, 0, "wb", buffering=0) as stream:
        stream.write(b"ABCDEFG")
    requests, _ = traffic(pair)
    assert requests == [
        sdo.DownloadInitiate(0x2005, 0),
        sdo.Segment(False, b"ABCDEFG", False),
        sdo.Segment(True, b"", True),
    ]


def test_aborts_of_a_server(pair):
    with pytest.raises(canopen.SdoAbortedError) as caught:
        pair[0].sdo.upload(0x3000, 7)
    _, (abort,) = traffic(pair)
    assert abort == sdo.Abort(0x3000, 7, 0x0602_0000)
    assert (caught.value.code, abort.text) == (abort.code, "the object does not exist")


def test_abort_of_a_client():
    bus = Bus()
    bus.add_node(canopen.RemoteNode(NODE_ID, canopen.ObjectDictionary())).sdo.abort(0x0504_0000)
    assert read(bus.sent) == [sdo.Abort(0, 0, 0x0504_0000)]


def test_it_understands_our_abort():
    bus = Bus()
    node = bus.add_node(canopen.RemoteNode(NODE_ID, canopen.ObjectDictionary()))
    bus.answer = lambda frame: [(RESPONSE, sdo.Abort(0x1018, 4, 0x0609_0011).encode())]
    with pytest.raises(canopen.SdoAbortedError) as caught:
        node.sdo.upload(0x1018, 4)
    assert caught.value.code == 0x0609_0011


@pytest.mark.parametrize("crc", [True, False])
@pytest.mark.parametrize("length", [1, 7, 8, 20, 49, 500])
def test_block_upload_from_our_messages(length, crc):
    data = bytes(i * 7 & 0xFF for i in range(length))
    chunks = [data[at : at + 7] for at in range(0, length, 7)]
    requests = []

    def serve(frame):
        (message,) = read([frame])
        requests.append(message)
        if isinstance(message, BlockUploadInitiate):
            yield RESPONSE, BlockUploadInitiated(0x2005, 0, length, message.crc).encode()
        elif isinstance(message, BlockUploadStart):
            for number, chunk in enumerate(chunks, 1):
                yield RESPONSE, BlockSegment(number, chunk, number == len(chunks)).encode()
        elif isinstance(message, BlockAck):
            yield RESPONSE, BlockEnd(7 - len(chunks[-1]), binascii.crc_hqx(data, 0) if crc else 0).encode()

    bus = Bus()
    node = bus.add_node(canopen.RemoteNode(NODE_ID, canopen.ObjectDictionary()))
    bus.answer = serve
    with node.sdo.open(0x2005, 0, "rb", block_transfer=True, request_crc_support=crc) as stream:
        assert stream.read() == data
    assert requests == [
        BlockUploadInitiate(0x2005, 0, 127, crc=crc),
        BlockUploadStart(),
        BlockAck(len(chunks), 127),
        BlockEnded(),
    ]


@pytest.mark.parametrize("crc", [True, False])
@pytest.mark.parametrize("length", [1, 7, 8, 20, 49, 500])
def test_block_download_to_our_messages(length, crc):
    data = bytes(i * 5 & 0xFF for i in range(length))
    received = []
    state = types.SimpleNamespace(in_block=False, ends=[])

    def serve(frame):
        if state.in_block:
            segment = BlockSegment.decode(frame.data)
            assert segment.encode() == frame.data
            received.append(segment)
            if segment.last or segment.sequence == 4:
                state.in_block = not segment.last
                yield RESPONSE, BlockAck(segment.sequence, 4).encode()
            return
        (message,) = read([frame])
        if isinstance(message, BlockDownloadInitiate):
            assert message == BlockDownloadInitiate(0x2005, 0, length, crc)
            state.in_block = True
            yield RESPONSE, BlockDownloadInitiated(0x2005, 0, 4, crc).encode()
        else:
            state.ends.append(message)
            yield RESPONSE, BlockEnded().encode()

    bus = Bus()
    node = bus.add_node(canopen.RemoteNode(NODE_ID, canopen.ObjectDictionary()))
    bus.answer = serve
    with node.sdo.open(0x2005, 0, "wb", size=length, block_transfer=True, request_crc_support=crc) as stream:
        stream.write(data)
    assert [segment.sequence for segment in received] == [i % 4 + 1 for i in range(len(received))]
    (end,) = state.ends
    assert end == BlockEnd(-length % 7, binascii.crc_hqx(data, 0) if crc else 0)
    assert b"".join(segment.data for segment in received)[:length] == data


@pytest.mark.parametrize(
    ("state", "command"),
    [
        ("OPERATIONAL", NmtCommand.START),
        ("STOPPED", NmtCommand.STOP),
        ("PRE-OPERATIONAL", NmtCommand.ENTER_PRE_OPERATIONAL),
        ("INITIALISING", NmtCommand.RESET_NODE),
        ("RESET COMMUNICATION", NmtCommand.RESET_COMMUNICATION),
    ],
)
def test_nmt_commands(state, command):
    bus = Bus()
    bus.nmt.state = state
    bus.add_node(canopen.RemoteNode(NODE_ID, canopen.ObjectDictionary())).nmt.state = state
    assert read(bus.sent) == [NmtMessage(command, 0), NmtMessage(command, NODE_ID)]


@pytest.mark.parametrize("state", [state for state in NmtState if state is not NmtState.INITIALISING])
@pytest.mark.parametrize("toggle", [False, True])
def test_it_understands_our_heartbeat(state, toggle):
    bus = Bus()
    node = bus.add_node(canopen.RemoteNode(NODE_ID, canopen.ObjectDictionary()))
    bus.notify(0x700 + NODE_ID, bytearray(ErrorControl(state, toggle).encode()), 0.0)
    assert node.nmt.state == state.text


def test_boot_up(pair):
    pair[1].nmt.send_command(0x81)
    assert [classify(frame) for frame in pair[1].network.sent] == [Connection(Service.ERROR_CONTROL, NODE_ID)]
    (message,) = read(pair[1].network.sent)
    assert message.is_boot_up


def test_sync_and_time():
    bus = Bus()
    bus.sync.transmit()
    bus.sync.transmit(1)
    bus.sync.transmit(240)
    bus.time.transmit(1_000_000_000.0)
    *syncs, time = read(bus.sent)
    assert syncs == [Sync(), Sync(1), Sync(240)]
    assert time.isoformat() == "2001-09-09T01:46:40.000"


def test_emergencies(pair):
    remote, local = pair
    local.emcy.send(0x8130, 0x11, b"\x01\x02\x03\x04\x05")
    local.emcy.reset()
    _, messages = traffic(pair)
    assert messages == [Emcy(0x8130, 0x11, b"\x01\x02\x03\x04\x05"), Emcy(0, 0)]
    assert [(error.code, error.register) for error in remote.emcy.log] == [(0x8130, 0x11), (0, 0)]


@pytest.fixture
def lss_bus(monkeypatch):
    """Its LSS master pauses between messages; here it does not."""
    monkeypatch.setattr("canopen.lss.time", types.SimpleNamespace(sleep=lambda seconds: None))
    bus = Bus()
    bus.lss.RESPONSE_TIMEOUT = 0
    return bus


def test_lss_switch_and_selection(lss_bus):
    lss_bus.answer = lambda frame: [(0x7E4, lss.Bare(LssCommand.SELECTED).encode())] if frame.data[0] == 0x43 else []
    lss_bus.lss.send_switch_state_global(1)
    lss_bus.lss.send_switch_state_global(0)
    assert lss_bus.lss.send_switch_state_selective(0x2E1, 0xA5A5, 0x10001, 0xDEADBEEF)
    assert read(lss_bus.sent) == [
        lss.Switch(True),
        lss.Switch(False),
        lss.AddressPart(LssCommand.SELECT_VENDOR, 0x2E1),
        lss.AddressPart(LssCommand.SELECT_PRODUCT, 0xA5A5),
        lss.AddressPart(LssCommand.SELECT_REVISION, 0x10001),
        lss.AddressPart(LssCommand.SELECT_SERIAL, 0xDEADBEEF),
    ]


def test_lss_identification(lss_bus):
    lss_bus.lss.send_identify_remote_slave(1, 2, 3, 4, 5, 6)
    lss_bus.lss.send_identify_non_configured_remote_slave()
    *parts, last = read(lss_bus.sent)
    assert [(part.command, part.number) for part in parts] == [
        (LssCommand.IDENTIFY_VENDOR, 1),
        (LssCommand.IDENTIFY_PRODUCT, 2),
        (LssCommand.IDENTIFY_REVISION_LOW, 3),
        (LssCommand.IDENTIFY_REVISION_HIGH, 4),
        (LssCommand.IDENTIFY_SERIAL_LOW, 5),
        (LssCommand.IDENTIFY_SERIAL_HIGH, 6),
    ]
    assert last == lss.Bare(LssCommand.IDENTIFY_NON_CONFIGURED)


def test_lss_configuration(lss_bus):
    lss_bus.answer = lambda frame: [(0x7E4, lss.Result(LssCommand(frame.data[0]), 0).encode())]
    lss_bus.lss.configure_node_id(42)
    lss_bus.lss.configure_bit_timing(2)
    lss_bus.lss.store_configuration()
    lss_bus.answer = None
    lss_bus.lss.activate_bit_timing(1500)
    assert read(lss_bus.sent) == [
        lss.ConfigureNodeId(42),
        lss.ConfigureBitTiming(0, 2),
        lss.Bare(LssCommand.STORE),
        lss.ActivateBitTiming(1500),
    ]


@pytest.mark.parametrize("error", [1, 2, 255])
def test_it_understands_our_lss_refusal(lss_bus, error):
    lss_bus.answer = lambda frame: [(0x7E4, lss.Result(LssCommand.STORE, error).encode())]
    with pytest.raises(canopen.lss.LssError, match=f"LSS Error: {error}"):
        lss_bus.lss.store_configuration()


def test_lss_inquiries(lss_bus):
    def serve(frame):
        (message,) = read([frame])
        if message.command is LssCommand.INQUIRE_NODE_ID:
            return [(0x7E4, lss.NodeIdAnswer(NODE_ID).encode())]
        return [(0x7E4, lss.AddressPart(message.command, 0x1000 + message.command).encode())]

    lss_bus.answer = serve
    assert lss_bus.lss.inquire_node_id() == NODE_ID
    assert [lss_bus.lss.inquire_lss_address(command) for command in (0x5A, 0x5B, 0x5C, 0x5D)] == [
        0x105A,
        0x105B,
        0x105C,
        0x105D,
    ]


def test_fastscan(lss_bus):
    address = (0x2E1, 0xA5A5, 0x80000001, 0x12345678)
    at = 0

    def serve(frame):
        nonlocal at
        (message,) = read([frame])
        matches = message.bit_check == lss.FASTSCAN_CONFIRM or (
            message.part == at and message.number >> message.bit_check == address[at] >> message.bit_check
        )
        if matches:
            if message.bit_check == 0:
                at = message.next_part
            yield 0x7E4, lss.Bare(LssCommand.IDENTIFIED).encode()

    lss_bus.answer = serve
    assert lss_bus.lss.fast_scan() == (True, list(address))
    assert len(lss_bus.sent) == 1 + 4 * 33
