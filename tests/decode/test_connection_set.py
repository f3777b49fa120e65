"""Which CAN-ID means what: predefined, as a file says, as the traffic shows; the best founded one wins."""

import pytest
from devices import dictionary, u32

from opendiag.decode.connection_set import ConnectionSet
from opendiag.decode.node_view import NodeView
from opendiag.dictionary.library import load
from opendiag.dictionary.model import NodeIdPlus
from opendiag.frame import Frame
from opendiag.wire.cob_id import UNKNOWN, Connection, Service

INVALID = 1 << 31
EXTENDED = 1 << 29


class Bus:
    """A connection set and its nodes; what a node learns is known at once."""

    def __init__(self, dictionaries=None):
        self.connections = ConnectionSet()
        self.nodes = {}
        for node_id, given in (dictionaries or {}).items():
            self.node(node_id, given)

    def node(self, node_id, given=None):
        if node_id not in self.nodes:
            self.nodes[node_id] = NodeView(node_id, given)
            self.connections.refresh(self.nodes[node_id])
        return self.nodes[node_id]

    def learn(self, node_id, index, subindex, value, written=True):
        self.node(node_id).learn(index, subindex, u32(value), written)
        self.connections.refresh(self.node(node_id))

    def at(self, can_id, **options):
        return self.connections.lookup(Frame(can_id, **options))

    def connection(self, can_id, **options):
        return self.at(can_id, **options).connection


@pytest.mark.parametrize(
    ("can_id", "connection"),
    [
        (0x000, Connection(Service.NMT)),
        (0x080, Connection(Service.SYNC)),
        (0x085, Connection(Service.EMCY, 5)),
        (0x100, Connection(Service.TIME)),
        (0x185, Connection(Service.TPDO, 5, 1)),
        (0x485, Connection(Service.TPDO, 5, 4)),
        (0x505, Connection(Service.RPDO, 5, 4)),
        (0x585, Connection(Service.SDO_RESPONSE, 5, 1)),
        (0x605, Connection(Service.SDO_REQUEST, 5, 1)),
        (0x705, Connection(Service.ERROR_CONTROL, 5)),
        (0x7E4, Connection(Service.LSS_RESPONSE)),
        (0x7E5, Connection(Service.LSS_REQUEST)),
        (0x180, UNKNOWN),
        (0x6E5, UNKNOWN),
        (0x001, UNKNOWN),
    ],
)
def test_predefined(can_id, connection):
    link = Bus().at(can_id)
    assert (link.connection, link.source, link.valid, link.note) == (connection, "predefined", True, "")


@pytest.mark.parametrize("options", [{"extended": True}, {"fd": True}, {"error": True}])
@pytest.mark.parametrize("can_id", [0x000, 0x080, 0x085, 0x185, 0x585, 0x605, 0x705, 0x7E4])
def test_no_other_kind_of_frame_is_a_service_by_its_number(can_id, options):
    assert Bus().connection(can_id, **options) == UNKNOWN


def test_a_remote_frame_is_a_question_for_a_tpdo_or_in_node_guarding():
    bus = Bus()
    known = {can_id for can_id in range(0x800) if bus.connection(can_id, remote=True) != UNKNOWN}
    assert known == {base + n for base in (0x180, 0x280, 0x380, 0x480, 0x700) for n in range(1, 128)}


# --- moved ---------------------------------------------------------------------------------------------------------

MOVED = [
    (0x1014, 0, 0x085, Connection(Service.EMCY, 5)),
    (0x1400, 1, 0x205, Connection(Service.RPDO, 5, 1)),
    (0x1800, 1, 0x185, Connection(Service.TPDO, 5, 1)),
    (0x1803, 1, 0x485, Connection(Service.TPDO, 5, 4)),
    (0x1200, 1, 0x605, Connection(Service.SDO_REQUEST, 5, 1)),
    (0x1200, 2, 0x585, Connection(Service.SDO_RESPONSE, 5, 1)),
]


@pytest.mark.parametrize(("index", "subindex", "old_id", "connection"), MOVED)
def test_moved_by_a_file(index, subindex, old_id, connection):
    bus = Bus({5: dictionary({(index, subindex): 0x2AA})})
    assert bus.at(0x2AA).connection == connection and bus.at(0x2AA).source == "eds"
    left = bus.at(old_id)
    assert left.connection == UNKNOWN
    assert left.note == f"{connection.label} of node 5 by default, but that was moved to 2AA"


@pytest.mark.parametrize("written", [True, False], ids=["written", "read"])
@pytest.mark.parametrize(("index", "subindex", "old_id", "connection"), MOVED)
def test_moved_by_the_traffic(index, subindex, old_id, connection, written):
    bus = Bus({5: dictionary({(index, subindex): 0x2AA})})
    bus.learn(5, index, subindex, 0x2BB, written)
    assert bus.at(0x2BB).connection == connection and bus.at(0x2BB).source == "traffic"
    assert bus.connection(old_id) == UNKNOWN
    assert bus.connection(0x2AA) != connection, "what the file says is no longer true"


@pytest.mark.parametrize(("index", "subindex", "old_id", "connection"), MOVED)
def test_29_bit_cob_id(index, subindex, old_id, connection):
    bus = Bus()
    bus.learn(5, index, subindex, EXTENDED | 0x1ABCDEF)
    assert bus.connection(0x1ABCDEF, extended=True) == connection
    assert bus.connection(old_id) == UNKNOWN
    assert bus.at(old_id).note.endswith("moved to 01ABCDEF")
    bus.learn(5, index, subindex, EXTENDED | 0x2BB)
    assert bus.connection(0x2BB, extended=True) == connection
    assert bus.connection(0x2BB) != connection, "eleven bits are another identifier"


def test_only_the_moved_node_and_number_is_moved():
    bus = Bus()
    bus.learn(5, 0x1800, 1, 0x2AA)
    assert bus.connection(0x186) == Connection(Service.TPDO, 6, 1)
    assert bus.connection(0x285) == Connection(Service.TPDO, 5, 2)


def test_back_to_the_default():
    bus = Bus()
    bus.learn(5, 0x1800, 1, 0x2AA)
    bus.learn(5, 0x1800, 1, 0x185)
    assert bus.at(0x185).connection == Connection(Service.TPDO, 5, 1) and not bus.at(0x185).note
    assert bus.connection(0x2AA) == Connection(Service.TPDO, 0x2A, 2), "what it is by default"


def test_a_file_with_the_default_says_nothing_new():
    link = Bus({5: dictionary({(0x1800, 1): NodeIdPlus(0x180)})}).at(0x185)
    assert (link.connection, link.source) == (Connection(Service.TPDO, 5, 1), "predefined")


def test_zero_in_a_file_means_not_set():
    bus = Bus({5: dictionary({(0x1800, 1): 0, (0x1014, 0): 0, (0x1201, 1): INVALID})})
    assert bus.connection(0x000) == Connection(Service.NMT)
    assert bus.connection(0x185) == Connection(Service.TPDO, 5, 1)
    assert bus.connection(0x085) == Connection(Service.EMCY, 5)


def test_a_slot_that_the_file_does_not_use_claims_no_identifier():
    """A file that gives every unused PDO the COB-ID of another node's PDO (500h + 0, 481h) means nothing by it."""
    bus = Bus({5: dictionary({(0x1804, 1): 0x481, (0x1A04, 0): 0})})
    assert bus.connection(0x481) == Connection(Service.TPDO, 1, 4)
    bus.learn(5, 0x1804, 1, 0x481)
    assert bus.connection(0x481) == Connection(Service.TPDO, 5, 5), "now somebody has configured it"


def test_what_the_stepim_file_leaves_where_it_was():
    bus = Bus({101: load("stepim")})
    for can_id in range(0x800):
        assert bus.at(can_id) == Bus().at(can_id), f"{can_id:03X}"


# --- bit 31 --------------------------------------------------------------------------------------------------------


def test_a_pdo_that_is_switched_off_is_known_and_not_valid():
    bus = Bus()
    bus.learn(5, 0x1800, 1, INVALID | 0x2AA)
    link = bus.at(0x2AA)
    assert (link.connection, link.valid) == (Connection(Service.TPDO, 0x2A, 2), True), "a valid one comes first"
    bus.learn(5, 0x1800, 1, INVALID | 0x6E0)
    link = bus.at(0x6E0)
    assert (link.connection, link.valid) == (Connection(Service.TPDO, 5, 1), False)
    assert bus.connection(0x185) == UNKNOWN


def test_a_pdo_switched_off_where_it_is_by_default():
    bus = Bus()
    bus.learn(5, 0x1800, 1, INVALID | 0x185)
    assert (bus.at(0x185).connection, bus.at(0x185).valid) == (Connection(Service.TPDO, 5, 1), False)
    bus.learn(5, 0x1800, 1, 0x185)
    assert bus.at(0x185).valid


def test_a_file_that_switches_a_pdo_off_where_it_is_by_default():
    bus = Bus({5: dictionary({(0x1800, 1): INVALID | 0x185})})
    assert (bus.at(0x185).connection, bus.at(0x185).valid) == (Connection(Service.TPDO, 5, 1), False)


def test_a_file_that_moves_a_pdo_to_the_same_number_in_29_bits():
    bus = Bus({5: dictionary({(0x1800, 1): EXTENDED | 0x185})})
    assert bus.connection(0x185, extended=True) == Connection(Service.TPDO, 5, 1)
    assert bus.connection(0x185) == UNKNOWN


def test_another_pdo_takes_the_place_of_one_switched_off():
    bus = Bus()
    bus.learn(5, 0x1800, 1, INVALID | 0x185)
    bus.learn(5, 0x1801, 1, 0x185)
    assert bus.at(0x185).connection == Connection(Service.TPDO, 5, 2) and bus.at(0x185).valid


def test_bit_31_does_not_switch_off_sync_and_time():
    bus = Bus()
    bus.learn(5, 0x1005, 0, INVALID | 0x0A0)
    bus.learn(5, 0x1012, 0, INVALID | 0x0A1)
    assert (bus.at(0x0A0).connection, bus.at(0x0A0).valid) == (Connection(Service.SYNC), True)
    assert (bus.at(0x0A1).connection, bus.at(0x0A1).valid) == (Connection(Service.TIME), True)


# --- SYNC, TIME, several owners ------------------------------------------------------------------------------------


def test_sync_and_time_of_one_node_leave_the_default_to_the_others():
    bus = Bus()
    bus.learn(5, 0x1005, 0, 0x40000000 | 0x0A0)
    bus.learn(5, 0x1012, 0, 0x40000000 | 0x0A1)
    assert bus.connection(0x0A0) == bus.connection(0x080) == Connection(Service.SYNC)
    assert bus.connection(0x0A1) == bus.connection(0x100) == Connection(Service.TIME)


def test_a_producer_comes_before_its_consumers():
    bus = Bus()
    bus.learn(6, 0x1400, 1, 0x185)
    assert bus.connection(0x185) == Connection(Service.RPDO, 6, 1), "what is configured beats the default"
    bus.learn(5, 0x1800, 1, 0x185)
    link = bus.at(0x185)
    assert link.connection == Connection(Service.TPDO, 5, 1) and link.note == "also RPDO1 of node 6"


def test_traffic_comes_before_files_and_files_before_the_default():
    bus = Bus({5: dictionary({(0x1800, 1): 0x2AA}), 6: dictionary({(0x1800, 1): 0x2BB})})
    assert bus.connection(0x2AA) == Connection(Service.TPDO, 5, 1)
    bus.learn(6, 0x1800, 1, 0x2AA)
    assert bus.connection(0x2AA) == Connection(Service.TPDO, 6, 1)


def test_remote_and_fd_frames_on_configured_identifiers():
    bus = Bus()
    bus.learn(5, 0x1800, 1, 0x2AA)
    bus.learn(5, 0x1400, 1, 0x2AB)
    bus.learn(5, 0x1014, 0, 0x2AC)
    tpdo, rpdo = Connection(Service.TPDO, 5, 1), Connection(Service.RPDO, 5, 1)
    assert bus.connection(0x2AA, remote=True) == tpdo
    assert bus.connection(0x2AA, data=bytes(64), fd=True) == tpdo
    assert bus.connection(0x2AB, data=bytes(12), fd=True) == rpdo
    assert bus.connection(0x2AB, remote=True) != rpdo
    assert bus.connection(0x2AC, remote=True) != Connection(Service.EMCY, 5)
    assert bus.connection(0x2AC, data=bytes(8), fd=True) == UNKNOWN
    assert bus.connection(0x2AA, error=True) == UNKNOWN


# --- SDO channels --------------------------------------------------------------------------------------------------


def test_a_second_sdo_channel_of_a_server():
    bus = Bus()
    bus.learn(5, 0x1201, 1, 0x6E1)
    bus.learn(5, 0x1201, 2, 0x6E2)
    assert bus.connection(0x6E1) == Connection(Service.SDO_REQUEST, 5, 2)
    assert bus.connection(0x6E2) == Connection(Service.SDO_RESPONSE, 5, 2)
    assert bus.connection(0x605) == Connection(Service.SDO_REQUEST, 5, 1), "the first one is still there"


def test_a_channel_that_only_its_client_tells():
    bus = Bus()
    for subindex, value in ((1, 0x6E1), (2, 0x6E2), (3, 5)):
        bus.learn(9, 0x1280, subindex, value)
    request, response = bus.connection(0x6E1), bus.connection(0x6E2)
    assert (request.service, request.node_id) == (Service.SDO_REQUEST, 5)
    assert (response.service, response.node_id) == (Service.SDO_RESPONSE, 5)
    assert request.number == response.number != 1
    assert bus.connection(0x605) == Connection(Service.SDO_REQUEST, 5, 1)


def test_a_client_that_uses_the_default_channel_names_no_new_one():
    bus = Bus()
    for subindex, value in ((1, 0x605), (2, 0x585), (3, 5)):
        bus.learn(9, 0x1280, subindex, value)
    assert bus.connection(0x605) == Connection(Service.SDO_REQUEST, 5, 1)
    assert bus.connection(0x585) == Connection(Service.SDO_RESPONSE, 5, 1)


@pytest.mark.parametrize("first", ["server", "client"])
def test_a_channel_that_both_ends_tell_has_the_servers_number(first):
    bus = Bus()

    def server():
        bus.learn(5, 0x1201, 1, 0x6E1)
        bus.learn(5, 0x1201, 2, 0x6E2)

    def client():
        for subindex, value in ((1, 0x6E1), (2, 0x6E2), (3, 5)):
            bus.learn(9, 0x1280, subindex, value)

    says = {"server": (server, client), "client": (client, server)}
    for say in says[first]:
        say()
    assert bus.connection(0x6E1) == Connection(Service.SDO_REQUEST, 5, 2)
    assert bus.connection(0x6E2) == Connection(Service.SDO_RESPONSE, 5, 2)


@pytest.mark.parametrize("server", [0, 128, 255])
def test_a_client_without_a_server(server):
    bus = Bus()
    for subindex, value in ((1, 0x6E1), (2, 0x6E2), (3, server)):
        bus.learn(9, 0x1280, subindex, value)
    assert bus.connection(0x6E1) == bus.connection(0x6E2) == UNKNOWN


@pytest.mark.parametrize(
    ("index", "subindex", "value"),
    [(0x1800, 1, 0), (0x1201, 1, 0), (0x1014, 0, 0x80), (0x1400, 1, 0x100), (0x1800, 1, 0x7E5)],
)
def test_an_entry_that_names_a_broadcast_takes_nothing_away(index, subindex, value):
    """Devices report 0 for "not set", and 80h for an EMCY that is sent on 80h + node-ID all the same."""
    bus = Bus()
    bus.learn(5, index, subindex, value)
    for can_id, service in (
        (0, Service.NMT),
        (0x80, Service.SYNC),
        (0x100, Service.TIME),
        (0x7E5, Service.LSS_REQUEST),
    ):
        assert bus.connection(can_id).service is service
    assert bus.connection(0x185) == Connection(Service.TPDO, 5, 1)
    assert bus.connection(0x085) == Connection(Service.EMCY, 5)
