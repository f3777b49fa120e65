"""What an identifier means, against a list of the predefined connection set written down independently."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.errors import WireError
from opendiag.frame import FD_LENGTHS, Frame
from opendiag.wire.cob_id import (
    PREDEFINED_BROADCAST,
    PREDEFINED_PEER,
    UNKNOWN,
    CobId,
    Connection,
    Service,
    classify,
    function_code,
    is_restricted,
    predefined,
)

NODE_BASES = [
    (0x080, Service.EMCY, 0, "EMCY"),
    (0x180, Service.TPDO, 1, "TPDO1"),
    (0x200, Service.RPDO, 1, "RPDO1"),
    (0x280, Service.TPDO, 2, "TPDO2"),
    (0x300, Service.RPDO, 2, "RPDO2"),
    (0x380, Service.TPDO, 3, "TPDO3"),
    (0x400, Service.RPDO, 3, "RPDO3"),
    (0x480, Service.TPDO, 4, "TPDO4"),
    (0x500, Service.RPDO, 4, "RPDO4"),
    (0x580, Service.SDO_RESPONSE, 1, "SDO response"),
    (0x600, Service.SDO_REQUEST, 1, "SDO request"),
    (0x700, Service.ERROR_CONTROL, 0, "NMT error control"),
]
REFERENCE = {
    0x000: (Connection(Service.NMT), "NMT"),
    0x080: (Connection(Service.SYNC), "SYNC"),
    0x100: (Connection(Service.TIME), "TIME"),
    0x7E4: (Connection(Service.LSS_RESPONSE), "LSS response"),
    0x7E5: (Connection(Service.LSS_REQUEST), "LSS request"),
}
for base, service, number, label in NODE_BASES:
    for node_id in range(1, 128):
        REFERENCE[base + node_id] = (Connection(service, node_id, number), label)


def test_every_11_bit_identifier():
    assert len(REFERENCE) == 5 + 12 * 127
    for can_id in range(0x800):
        connection, label = REFERENCE.get(can_id, (UNKNOWN, "unknown"))
        assert predefined(can_id) == connection, f"{can_id:03X}"
        assert predefined(can_id).label == label
        assert classify(Frame(can_id)) == connection
        assert function_code(can_id) == can_id // 128


def test_the_tables_say_the_same():
    assert {code * 0x80 for code in PREDEFINED_PEER} == {base for base, *_ in NODE_BASES}
    assert set(PREDEFINED_BROADCAST) == {can_id for can_id in REFERENCE if not REFERENCE[can_id][0].node_id}


@pytest.mark.parametrize("can_id", [-1, 0x800, 0x665 + 0x800, 0x1FFF_FFFF])
def test_a_number_beyond_11_bits_is_unknown(can_id):
    assert predefined(can_id) == UNKNOWN


def test_a_further_sdo_channel_carries_its_number():
    assert Connection(Service.SDO_REQUEST, 5, 2).label == "SDO request2"
    assert Connection(Service.TPDO, 5, 12).label == "TPDO12"


@pytest.mark.parametrize("can_id", [*sorted(REFERENCE)[::37], 0x080, 0x100, 0x5E5, 0x665, 0x765, 0x7E4, 0x7E5])
def test_the_number_alone_is_not_enough(can_id):
    """An extended frame, an error frame and a CAN FD frame with the number of a service are not that service."""
    assert classify(Frame(can_id, extended=True)) == UNKNOWN
    assert classify(Frame(can_id, bytes(8), error=True)) == UNKNOWN
    assert classify(Frame(can_id, fd=True)) == UNKNOWN
    assert classify(Frame(can_id, bytes(8), fd=True, brs=True)) == UNKNOWN
    assert classify(Frame(can_id, bytes(64), fd=True)) == UNKNOWN


@pytest.mark.parametrize("node_id", [1, 101, 127])
def test_a_remote_frame_asks_for_a_tpdo_or_guards_a_node(node_id):
    asked = {base for base, *_ in NODE_BASES if classify(Frame(base + node_id, remote=True)) != UNKNOWN}
    assert asked == {0x180, 0x280, 0x380, 0x480, 0x700}
    assert classify(Frame(0x700 + node_id, remote=True, dlc=1)) == Connection(Service.ERROR_CONTROL, node_id)
    for can_id in PREDEFINED_BROADCAST:
        assert classify(Frame(can_id, remote=True)) == UNKNOWN


standard = st.integers(0, 0x7FF)
extended = st.integers(0, 0x1FFF_FFFF)
payload = st.binary(max_size=8)
fd_payload = st.sampled_from(FD_LENGTHS).flatmap(lambda length: st.binary(min_size=length, max_size=length))
frames = st.one_of(
    st.builds(Frame, standard, payload),
    st.builds(Frame, extended, payload, extended=st.just(True)),
    st.builds(Frame, standard, remote=st.just(True), dlc=st.integers(0, 15)),
    st.builds(Frame, extended, extended=st.just(True), remote=st.just(True), dlc=st.integers(0, 15)),
    st.builds(Frame, extended, payload, error=st.just(True), extended=st.booleans()),
    st.builds(Frame, standard, fd_payload, fd=st.just(True), brs=st.booleans(), esi=st.booleans()),
    st.builds(Frame, extended, fd_payload, fd=st.just(True), extended=st.just(True)),
)


@given(frame=frames)
def test_classify_takes_any_frame(frame):
    connection = classify(frame)
    assert connection.label
    if frame.extended or frame.error or frame.fd:
        assert connection == UNKNOWN
    elif connection != UNKNOWN:
        assert connection == REFERENCE[frame.can_id][0]
        assert not frame.remote or connection.service in (Service.TPDO, Service.ERROR_CONTROL)


def test_restricted_identifiers():
    """CiA 301 lists them as ranges; these are the gaps that may be configured."""
    free = {
        *range(0x080, 0x101),
        *range(0x181, 0x581),
        0x600,
        *range(0x680, 0x6E0),
        0x700,
    }
    for can_id in range(0x800):
        assert is_restricted(can_id) == (can_id not in free), f"{can_id:03X}"


@pytest.mark.parametrize(
    ("cob", "limit"),
    [(CobId(0x800), 11), (CobId(-1), 11), (CobId(0x2000_0000, extended=True), 29), (CobId(1 << 31), 11)],
)
def test_an_identifier_that_does_not_fit_is_refused(cob, limit):
    with pytest.raises(WireError, match=f"does not fit {limit} bits"):
        cob.encode()


def test_flags_are_clear_unless_set():
    assert CobId(0x185).encode() == 0x185
    assert CobId(0x185, True).encode() == 0x2000_0185
