"""What the Python package `canopen` gets wrong about PDOs, or does not have: one test for each, by name."""

import canopen
import pytest
from pdo_bench import DICTIONARY, Device

from opendiag.decode.decoder import Decoder
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.model import Variable
from opendiag.errors import WireError
from opendiag.frame import Frame
from opendiag.services.pdo_consumer import PdoError
from opendiag.services.pdo_layout import PdoLayout
from opendiag.services.pdo_parameters import PdoParameters
from opendiag.wire.pdo import DAM_MPDO, SAM_MPDO, MappingEntry, Mpdo, communication_index

T = DataType
VARIABLES = {
    (0x2000, 0): Variable(0x2000, 0, "I8", T.INTEGER8),
    (0x2001, 0): Variable(0x2001, 0, "U8", T.UNSIGNED8),
    (0x2002, 0): Variable(0x2002, 0, "U16", T.UNSIGNED16),
    (0x2003, 0): Variable(0x2003, 0, "U32", T.UNSIGNED32),
    (0x2004, 0): Variable(0x2004, 0, "text", T.VISIBLE_STRING),
}
UNKNOWN = 0x2F00


def layout(*fields):
    return PdoLayout([MappingEntry(index, 0, bits) for index, bits in fields], VARIABLES)


def test_an_object_that_the_dictionary_lacks_does_not_shift_the_ones_behind_it():
    made = layout((UNKNOWN, 16), (0x2002, 16))
    assert dict(zip(made.names, made.decode(bytes.fromhex("11112222")), strict=True)) == {
        "2F00:00": b"\x11\x11",
        "U16": 0x2222,
    }


def test_a_mapping_narrower_than_its_object_does_not_take_its_neighbours_bytes():
    assert layout((0x2003, 16), (0x2002, 16)).decode(bytes.fromhex("11112222")) == (0x1111, 0x2222)


def test_a_string_is_as_long_as_its_mapping():
    assert layout((0x2004, 64)).decode(b"opendiag") == ("opendiag",)


def test_a_signed_field_of_4_bits_has_its_sign():
    assert [layout((0x2000, 4), (0x2000, 4)).decode(bytes([number])) for number in (0x08, 0x80, 0x78, 0x87)] == [
        (-8, 0), (0, -8), (-8, 7), (7, -8),
    ]  # fmt: skip


def test_a_byte_at_bit_4_is_read_across_the_byte_boundary():
    made = layout((0x2001, 4), (0x2001, 8), (0x2001, 4))
    assert made.decode(bytes.fromhex("b4ca")) == (0x4, 0xAB, 0xC)
    assert made.encode([0x4, 0xAB, 0xC]) == bytes.fromhex("b4ca")


def test_a_frame_shorter_than_its_mapping_is_told_and_not_processed():
    with pytest.raises(WireError, match="1 data bytes where the mapping has 2"):
        layout((0x2002, 16)).decode(b"\1")
    made = Device()
    made.map(False, 1, 0x205, 255, [(0x2006, 16)])
    made.start()
    made.hear("07")
    assert ([event.error for event in made.trouble], made.store.get(0x2006, 0)) == ([PdoError.TOO_SHORT], 0)


def test_a_frame_longer_than_its_mapping_is_told_and_processed():
    made = Device()
    made.map(False, 1, 0x205, 255, [(0x2006, 16)])
    made.start()
    made.hear("070055")
    assert ([event.error for event in made.trouble], made.store.get(0x2006, 0)) == ([PdoError.TOO_LONG], 7)


def test_there_are_multiplexed_pdos():
    for count, destination in ((SAM_MPDO, False), (DAM_MPDO, True)):
        one, other = Device(5), Device(6)
        one.map(True, 1, 0x1E0, 255, [], count=count)
        other.map(False, 1, 0x1E0, 255, [], count=count)
        other.set((0x1FD0, 0, 1), (0x1FD0, 1, 0x01_2005_00_2005_00_05))
        one.start(), other.start()
        one.pdos.send_mpdo(1, Mpdo(6 if destination else 5, destination, 0x2005, 0, b"\7"), 0.0)
        for data in one.run(0.0):
            other.hear(data, 0x1E0)
        assert other.store.get(0x2005, 0) == 7


def test_there_are_pdos_of_can_fd_length():
    made = PdoLayout([MappingEntry(0x2003, 0, 32)] * 16, VARIABLES)
    assert made.decode(b"".join(number.to_bytes(4, "little") for number in range(16))) == tuple(range(16))


def test_a_synchronous_rpdo_waits_for_sync():
    made = Device()
    made.map(False, 1, 0x205, 1, [(0x2005, 8)])
    made.start()
    made.hear("07")
    assert made.store.get(0x2005, 0) == 0
    made.sync()
    assert made.store.get(0x2005, 0) == 7


@pytest.mark.parametrize("can_id", [0x185, 0x285, 0x1FF, 0x6A1])
def test_the_name_of_a_pdo_does_not_hang_on_its_cob_id(can_id):
    objects = {(communication_index(True, 3), 1): can_id}
    assert PdoParameters.from_objects(lambda index, sub: objects.get((index, sub)), True, 3).name == "TPDO3"


def test_event_timer_and_inhibit_time_are_kept_when_sending():
    made = Device()
    made.map(True, 1, 0x185, 255, [(0x2005, 8)], inhibit=1000, event=250)
    made.start()
    made.run(0.01)
    made.change(0x2005, 1)
    made.run(0.5)
    assert [time for time, _, _ in made.sent] == pytest.approx([0.0, 0.1, 0.35])


def test_the_mapping_is_learned_from_the_traffic():
    decoder = Decoder()
    for request in ("2300180185010000", "2f001a0000000000", "23001a0110004160", "2f001a0001000000", "2300180185010000"):
        data = bytes.fromhex(request)
        decoder.feed(Frame(0x605, data))
        decoder.feed(Frame(0x585, b"\x60" + data[1:4] + bytes(4)))
    (record,) = decoder.feed(Frame(0x185, b"\x27\x02"))
    assert (record.index, record.bit_width, record.mapping_from) == (0x6041, 16, "traffic")


def test_there_are_512_pdos_of_each_direction():
    last = [PdoParameters(transmit, 512) for transmit in (True, False)]
    assert [(pdo.communication, pdo.mapping) for pdo in last] == [(0x19FF, 0x1BFF), (0x15FF, 0x17FF)]


def test_more_than_8_objects_have_their_places():
    made = PdoLayout([MappingEntry(0x2001, 0, 1)] * 64, VARIABLES)
    assert made.decode(b"\x55" * 8) == (1, 0) * 32


def test_the_defects_are_still_there():
    """If one of these fails, `canopen` has become better, and its line above is history."""
    local = canopen.LocalNode(5, DICTIONARY.to_canopen(5))
    pdo = local.tpdo[1]
    pdo.clear()
    pdo.add_variable(0x2F00, 0, 16)
    pdo.add_variable(0x2006, 0, 16)
    pdo.data = bytearray.fromhex("11112222")
    assert pdo[0].raw == 0x1111, "what is at byte 2 is read from byte 0"
    pdo.clear()
    pdo.add_variable(0x2007, 0, 16)
    pdo.data = bytearray.fromhex("11112222")
    assert pdo[0].raw == 0x22221111
    pdo.clear()
    pdo.add_variable(0x2002, 0, 4)
    pdo.data = bytearray(b"\x08")
    assert pdo[0].raw == 8
