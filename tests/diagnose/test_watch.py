"""What a listener keeps of a bus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.diagnose.error_tally import BusError, errors_of
from opendiag.diagnose.watch import BusWatch
from opendiag.frame import Frame
from opendiag.services.sdo_channel import SdoChannel
from opendiag.wire.nmt import NmtCommand, NmtState

CHANNEL = SdoChannel.default(5)
READ = bytes.fromhex("4041600000000000")
ANSWER = bytes.fromhex("4B41600027020000")
TIMED_OUT = bytes.fromhex("8041600000000405")


def error(error_class, **details):
    data = bytearray(8)
    for name, value in details.items():
        data[int(name.removeprefix("byte_"))] = value
    return Frame(error_class, bytes(data), error=True)


def heard(*frames):
    """A watch that heard (can_id, data) once each second from t = 1 on."""
    watch = BusWatch()
    for second, (can_id, data) in enumerate(frames, start=1):
        watch.received(Frame(can_id, data), float(second))
    return watch


# --- frames and nodes -------------------------------------------------------------------------------------------------


def test_frames_are_counted_with_their_times():
    watch = heard((0x181, b"\0"), (0x181, b"\0"), (0x700, b"\5"), (0x12, b""))
    assert (watch.started_at, watch.frames, watch.first_at, watch.last_at) == (1.0, 4, 1.0, 4.0)
    seen = watch.can_ids[0x181]
    assert (seen.count, seen.first_at, seen.last_at, seen.text) == (2, 1.0, 2.0, "181h")
    assert [node.node_id for node in watch.heard_nodes()] == [1]


@pytest.mark.parametrize(
    ("can_id", "data", "service"),
    [
        (0x705, b"\0", "boot-up"),
        (0x705, b"\x04", "heartbeat, STOPPED"),
        (0x705, b"\x85", "heartbeat, OPERATIONAL"),
        (0x705, b"\x33", "NMT error control"),
        (0x085, bytes(8), "EMCY"),
        (0x585, ANSWER, "SDO response"),
        (0x485, bytes(8), "TPDO4"),
    ],
)
def test_what_a_node_is_heard_on(can_id, data, service):
    node = heard((can_id, data)).node(5)
    assert (node.service, node.last_at) == (service, 1.0)


@pytest.mark.parametrize("can_id", [0x205, 0x605, 0x005, 0x105, 0x7E5])
def test_what_a_node_does_not_send_is_not_the_node(can_id):
    watch = heard((can_id, bytes(8)))
    assert watch.heard_nodes() == [] and watch.node(5).service == "never heard"


def test_29_bit_remote_fd_and_own_frames_are_no_node():
    watch = BusWatch()
    watch.received(Frame(0x705, b"\5", extended=True), 1.0)
    watch.received(Frame(0x705, remote=True), 2.0)
    watch.received(Frame(0x705, b"\5", fd=True), 3.0)
    assert (watch.frames, watch.first_at, watch.last_at) == (3, 1.0, 3.0)
    watch.received(Frame(0x705, b"\5", direction="tx"), 4.0)
    watch.received(error(0x080), 5.0)
    assert (watch.frames, watch.last_at, watch.heard_nodes()) == (3, 3.0, [])


def test_heartbeat_boot_ups_and_state():
    node = heard((0x705, b"\0"), (0x705, b"\x7f"), (0x705, b"\5"), (0x705, b"\x80"), (0x705, b"\5")).node(5)
    assert (list(node.boot_ups), node.boot_up_count) == ([1.0], 1)
    assert (node.state, node.state_at) == (NmtState.OPERATIONAL, 5.0)
    assert node.heartbeat_s == 2.0  # 80h is no state
    assert node.booted_since(0.5) == 1.0 and node.booted_since(1.0) is None
    again = heard((0x705, b"\5"), (0x705, b"\5"), (0x705, b"\0")).node(5)
    assert again.heartbeat_s is None and again.state is NmtState.INITIALISING


def test_emcy_and_nmt_commands():
    watch = heard(
        (0x085, bytes.fromhex("1081010000000000")), (0x085, b"\1"), (0x000, b"\x02\x05"), (0x000, b"\x01\x00")
    )
    assert watch.node(5).emcy.code == 0x8110 and watch.node(5).emcy_at == 1.0
    assert watch.last_command(5) == (NmtCommand.START, 4.0)
    assert watch.node(5).command == (NmtCommand.STOP, 3.0)
    watch.received(Frame(0x000, b"\x03\x05"), 5.0)
    watch.sent(Frame(0x000, b"\x80\x05"), 6.0)
    assert watch.last_command(5) == (NmtCommand.ENTER_PRE_OPERATIONAL, 6.0)


def test_nodes_since():
    watch = heard((0x705, b"\5"), (0x703, b"\5"))
    assert [node.node_id for node in watch.heard_nodes()] == [3, 5]
    assert [node.node_id for node in watch.heard_nodes(since=2.0)] == [3]


def test_a_flood_of_can_ids_does_not_fill_the_memory():
    watch = BusWatch()
    for can_id in range(5000):
        watch.received(Frame(can_id, b"", extended=True), 1.0)
    assert watch.frames == 5000 and len(watch.can_ids) == 4096


# --- our own frames ---------------------------------------------------------------------------------------------------


def test_the_echo_confirms_and_is_not_counted_twice():
    watch = BusWatch()
    watch.sent(CHANNEL.request(READ), 1.0, None)
    assert not watch.confirmed_since(CHANNEL, 0.0)
    watch.received(Frame(0x605, READ, direction="tx"), 1.1)
    own = watch.own[0x605]
    assert (own.handed, own.confirmed, own.failed) == (1, 1, 0)
    assert watch.confirmed_since(CHANNEL, 1.1) and not watch.confirmed_since(CHANNEL, 1.2)
    watch.sent(CHANNEL.request(READ), 2.0, True)
    watch.sent(CHANNEL.request(READ), 3.0, False)
    assert (own.handed, own.confirmed, own.failed, own.failed_at) == (2, 2, 1, 3.0)
    assert watch.frames == 0


def test_refused_frames_are_kept_with_their_reason():
    watch = BusWatch()
    for second in range(20):
        watch.send_failed("full", float(second))
    assert watch.send_failure_count == 20 and watch.send_failures[-1] == (19.0, "full")


# --- SDO --------------------------------------------------------------------------------------------------------------


def test_latency_counts_from_our_request_to_the_first_answer():
    watch = BusWatch()
    for asked, after in ((1.0, 0.01), (2.0, 0.03)):
        watch.sent(CHANNEL.request(READ), asked)
        watch.received(CHANNEL.response(ANSWER), asked + after)
        watch.received(CHANNEL.response(ANSWER), asked + 0.5)
    latency = watch.latency(5)
    assert (latency.count, latency.max_s) == (2, pytest.approx(0.03)) and latency.mean_s == pytest.approx(0.02)
    assert watch.latency(6) is None


def test_answers_to_others_are_not_our_latency():
    watch = BusWatch()
    watch.received(CHANNEL.request(READ), 1.0)
    watch.received(CHANNEL.response(ANSWER), 1.1)
    assert watch.latency(5) is None
    assert watch.uses(CHANNEL).foreign_count == 1


def test_an_abort_answers_whatever_object_it_names():
    watch = BusWatch()
    watch.sent(CHANNEL.request(READ), 1.0)
    watch.received(CHANNEL.response(bytes.fromhex("8000000001000405")), 1.2)
    assert watch.latency(5).count == 1
    assert watch.sdo.waiting == {}


def test_the_same_object_asked_of_two_nodes_at_once():
    watch = BusWatch()
    other = SdoChannel.default(6)
    for channel in (CHANNEL, other):
        watch.sent(channel.request(READ), 1.0)
    watch.received(other.response(ANSWER), 1.1)
    assert watch.latency(5) is None and watch.latency(6).count == 1
    assert not watch.uses(CHANNEL).elsewhere
    watch.received(CHANNEL.response(ANSWER), 1.2)
    assert watch.latency(5).max_s == pytest.approx(0.2)


def test_a_late_answer_counts_from_the_request():
    watch = BusWatch()
    watch.sent(CHANNEL.request(READ), 1.0)
    watch.sent(CHANNEL.request(TIMED_OUT), 1.5)
    facts = watch.uses(CHANNEL)
    assert facts.timeout_s == pytest.approx(0.5)
    watch.received(CHANNEL.response(ANSWER), 2.1)
    watch.late_answer(CHANNEL, 0.6, 2.1)
    late = facts.late
    assert (late.count, late.last_at, late.max_by_s, late.slowest_s) == (1, 2.1, 0.6, pytest.approx(1.1))


def test_the_data_of_a_block_download_are_no_requests():
    watch = BusWatch()
    watch.sent(CHANNEL.request(bytes.fromhex("C650100300010000")), 1.0)
    watch.received(CHANNEL.response(bytes.fromhex("A45010037F000000")), 1.01)
    watch.sent(CHANNEL.request(bytes.fromhex("2341600000000000")), 1.02)  # segment 35
    assert watch.sdo.waiting == {}
    watch.received(CHANNEL.response(bytes.fromhex("A100000000000000")), 1.1)
    watch.sent(CHANNEL.request(READ), 1.2)
    assert list(watch.sdo.waiting) == [READ[1:4]]


def test_a_channel_of_its_own():
    watch = BusWatch()
    channel = SdoChannel(5, 0x645, 0x1234567, response_extended=True, number=2)
    watch.uses(channel)
    watch.sent(channel.request(READ), 1.0)
    watch.received(Frame(0x1234567, ANSWER, extended=True), 1.1)
    assert watch.latency(5).count == 1 and watch.node(5).service == "SDO response2"


def test_other_channels_of_1200h_and_their_source():
    watch = BusWatch()
    watch.sdo_server_configured(5, 0x605, 0x585)
    watch.sent(CHANNEL.request(bytes.fromhex("4001120200000000")), 1.0)
    watch.received(CHANNEL.response(bytes.fromhex("43011202C5050080")), 1.1)
    second = watch.sdo.server(5, 2)
    assert (second.request_cob_id, second.response_cob_id, second.source) == (None, 0x8000_05C5, "traffic")
    assert watch.sdo.server(5, 1).source == "file"
    watch.received(Frame(0x705, b"\0"), 2.0)
    assert watch.sdo.server(5, 2) is None and watch.sdo.server(5, 1) is not None


@given(
    st.lists(
        st.tuples(
            st.sampled_from([0x000, 0x085, 0x585, 0x586, 0x605, 0x705, 0x185, 0x5F5, 0x7E4]),
            st.binary(max_size=8),
            st.sampled_from(["rx", "tx", None, "sent"]),
        )
    )
)
def test_no_traffic_is_too_strange(frames):
    watch = BusWatch()
    for time, (can_id, data, direction) in enumerate(frames):
        frame = Frame(can_id, data, direction=None if direction == "sent" else direction)
        if direction == "sent":
            watch.sent(frame, float(time))
        else:
            watch.received(frame, float(time))
    assert watch.frames == sum(direction in ("rx", None) for _, _, direction in frames)


# --- error frames -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (error(0x020), {BusError.ACK}),
        (error(0x088, byte_2=0x02), {BusError.FORM}),
        (error(0x088, byte_2=0x84, byte_3=0x0A), {BusError.STUFF}),
        (error(0x088, byte_2=0x01), {BusError.BIT}),
        (error(0x088, byte_2=0x08, byte_3=0x0A), {BusError.BIT}),
        (error(0x088, byte_2=0x10, byte_3=0x19), {BusError.ACK}),
        (error(0x088, byte_3=0x08), {BusError.CRC}),
        (error(0x080), {BusError.OTHER}),
        (error(0x010), {BusError.OTHER}),
        (error(0x002, byte_0=3), set()),
        (error(0x040), {BusError.BUS_OFF}),
        (error(0x100), {BusError.RESTARTED}),
        (error(0x001), {BusError.TX_TIMEOUT}),
        (error(0x004, byte_1=0x01), {BusError.OVERFLOW}),
        (error(0x004, byte_1=0x20), {BusError.TX_PASSIVE}),
        (error(0x004, byte_1=0x04), {BusError.RX_PASSIVE}),
        (error(0x004, byte_1=0x40), set()),
        (error(0x200, byte_6=1), set()),
        (error(0x060), {BusError.ACK, BusError.BUS_OFF}),
    ],
)
def test_what_an_error_frame_says(frame, expected):
    assert errors_of(frame) == expected


def test_error_frames_are_counted_by_kind_with_counters():
    watch = BusWatch()
    watch.received(error(0x020), 1.0)
    watch.received(error(0x220, byte_6=128, byte_7=2), 2.0)
    watch.received(error(0x002), 3.0)
    errors = watch.errors
    assert (errors.all.count, errors.all.first_at, errors.all.last_at) == (3, 1.0, 3.0)
    assert errors.count(BusError.ACK) == 2 and errors.seen_since(2.0, BusError.ACK)
    assert not errors.seen_since(2.1, BusError.ACK)
    assert (errors.tx_errors, errors.rx_errors) == (128, 2)
    watch.received(error(0x200), 4.0)
    assert (errors.tx_errors, errors.rx_errors) == (0, 0)
    assert errors.text(BusError.ACK, BusError.FORM) == "2 x no acknowledge"


def test_bus_off_lasts_until_the_controller_is_restarted():
    watch = BusWatch()
    watch.received(error(0x040), 1.0)
    assert watch.errors.is_bus_off
    watch.received(error(0x100), 2.0)
    assert not watch.errors.is_bus_off
    watch.received(error(0x040), 3.0)
    assert watch.errors.is_bus_off
