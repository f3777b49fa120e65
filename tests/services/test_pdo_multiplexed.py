"""Multiplexed PDOs: two devices, by source address with their lists, and by destination address."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pdo_bench import OFF, Device

from opendiag.services.pdo_consumer import PdoError
from opendiag.services.pdo_multiplexed import scanned
from opendiag.wire.pdo import DAM_MPDO, SAM_MPDO, DispatchEntry, Mpdo, ScannerEntry

CAN_ID = 0x1E0
SENDER, RECEIVER = 5, 6


def sender(count=SAM_MPDO, kind=255, scan=((0x2005, 0, 1), (0x2003, 0, 1)), **more):
    made = Device(SENDER)
    made.map(True, 1, CAN_ID, kind, [], count=count, **more)
    words = [ScannerEntry(*entry).encode() for entry in scan]
    made.set((0x1FA0, 0, len(words)), *((0x1FA0, slot, word) for slot, word in enumerate(words, 1)))
    return made


def receiver(count=SAM_MPDO, dispatch=((SENDER, 0x2005, 0, 0x2007, 0, 1), (SENDER, 0x2003, 0, 0x2003, 0, 1))):
    made = Device(RECEIVER)
    made.map(False, 1, CAN_ID, 255, [], count=count)
    words = [DispatchEntry(*entry).encode() for entry in dispatch]
    made.set((0x1FD0, 0, len(words)), *((0x1FD0, slot, word) for slot, word in enumerate(words, 1)))
    made.start()
    return made


def test_golden_bytes():
    assert Mpdo(5, False, 0x6041, 2, b"\x27\x02").encode().hex() == "0541600227020000"
    assert Mpdo(5, True, 0x6041, 2, b"\x27\x02").encode().hex() == "8541600227020000"
    assert ScannerEntry(0x6041, 2, 3).encode() == 0x03604102
    assert DispatchEntry(5, 0x6041, 2, 0x2000, 1, 3).encode() == 0x03_2000_01_6041_02_05


@given(st.integers(0, (1 << 32) - 1), st.integers(0, (1 << 64) - 1), st.binary(min_size=8, max_size=8))
def test_lists_and_frames_come_back(scan, dispatch, data):
    assert ScannerEntry.decode(scan).encode() == scan
    assert DispatchEntry.decode(dispatch).encode() == dispatch
    assert Mpdo.decode(data).encode() == data


def test_a_block_of_the_scanner_list_is_as_many_subindices():
    values = {(0x1FA0, 0): 3, (0x1FA0, 1): 0x02_2000_05, (0x1FA0, 2): 0, (0x1FA0, 3): 0x03_2100_FE, (0x1FA1, 0): 1}
    values[0x1FA1, 1] = 0x01_3000_00
    assert list(scanned(lambda index, sub: values.get((index, sub)))) == [
        (0x2000, 5), (0x2000, 6), (0x2100, 0xFE), (0x2100, 0xFF), (0x3000, 0),
    ]  # fmt: skip


def test_a_block_of_the_dispatching_list_keeps_the_distance():
    entry = DispatchEntry(5, 0x6000, 3, 0x2000, 1, 2)
    targets = [entry.target(Mpdo(5, False, 0x6000, subindex, b"")) for subindex in (2, 3, 4, 5)]
    assert targets == [None, (0x2000, 1), (0x2000, 2), None]
    assert entry.target(Mpdo(6, False, 0x6000, 3, b"")) is None
    assert entry.target(Mpdo(5, False, 0x6001, 3, b"")) is None
    assert entry.target(Mpdo(5, True, 0x6000, 3, b"")) is None


def test_source_address_mode_from_one_device_to_another():
    one, other = sender(), receiver()
    one.set((0x2005, 0, 7), (0x2003, 0, -2))
    assert one.start() == ["0505200007000000", "05032000feff0000"]
    one.change(0x2003, -3)
    assert one.run(0.02) == ["05032000fdff0000"]
    for _, can_id, data in one.sent:
        other.hear(data, can_id)
    assert (other.store.get(0x2007, 0), other.store.get(0x2003, 0), other.trouble) == (7, -3, [])


def test_what_the_dispatching_list_does_not_name_is_somebody_else_s():
    other = receiver()
    other.hear("0606200007000000", CAN_ID)
    other.hear("8605200007000000", CAN_ID)
    assert (other.store.get(0x2007, 0), other.trouble, other.pdos.refused) == (0, [], 0)


def test_the_inhibit_time_spaces_them_and_the_latest_value_goes():
    one = sender(inhibit=1000)
    one.start()
    one.run(0.05)
    one.change(0x2003, 9)
    one.run(0.3)
    assert one.sent == [(0.0, CAN_ID, "0505200000000000"), (0.1, CAN_ID, "0503200009000000")]


def test_destination_address_mode():
    one, other = sender(DAM_MPDO), receiver(DAM_MPDO)
    assert one.start() == [] and one.run(1.0) == []
    for node in (RECEIVER, 0, 7):
        assert one.pdos.send_mpdo(1, Mpdo(node, True, 0x2005, 0, bytes([node + 1])), one.now)
    values = []
    for data in one.run(0.0):
        other.hear(data, CAN_ID)
        values.append(other.store.get(0x2005, 0))
    assert (values, other.trouble) == ([7, 1, 1], [])


@pytest.mark.parametrize("where", ["0030", "0022", "0121"])
def test_without_a_destination_it_is_8230h(where):
    """No such object, one that cannot be mapped, one that can only be read."""
    other = receiver(DAM_MPDO)
    other.hear(f"86{where}0007000000", CAN_ID)
    assert [event.error for event in other.trouble] == [PdoError.NO_DESTINATION]
    other.hear("8605200007000000", CAN_ID)
    assert [(event.error, event.over) for event in other.trouble] == [(0x8230, False), (0x8230, True)]
    assert other.store.get(0x2005, 0) == 7


def test_too_short_is_8210h():
    other = receiver(DAM_MPDO)
    other.hear("86052000070000", CAN_ID)
    assert [event.error for event in other.trouble] == [PdoError.TOO_SHORT]


@pytest.mark.parametrize(("kind", "can_id"), [(1, CAN_ID), (252, CAN_ID), (255, CAN_ID | OFF)])
def test_only_an_event_driven_one_that_is_on_sends(kind, can_id):
    one = sender(kind=kind)
    one.map(True, 1, can_id, kind, [], count=SAM_MPDO)
    assert one.start() == [] and one.sync() == [] and one.run(1.0) == [] and one.ask(CAN_ID) == []
    assert not one.pdos.send_mpdo(1, Mpdo(6, True, 0x2005, 0, b""), one.now)


def test_outside_of_operational_nothing_is_sent():
    one = sender()
    assert one.run(1.0) == [] and not one.pdos.send_mpdo(1, Mpdo(6, True, 0x2005, 0, b""), one.now)
    one.start()
    one.pdos.stop()
    one.change(0x2005, 3)
    assert one.run(1.0) == []


def test_an_mpdo_of_a_pdo_that_does_not_exist():
    with pytest.raises(LookupError, match="TPDO9"):
        sender().pdos.send_mpdo(9, Mpdo(6, True, 0x2005, 0, b""), 0.0)
