"""Changing PDOs by SDO: the right order goes through, and each wrong step gets its abort code."""

import pytest
from pdo_bench import NO_RTR, OFF, RPDO, TPDO, Device, dictionary

from opendiag.errors import SdoRefusal

BYTE, WORD = 0x2005_0008, 0x2006_0010


def device(active=False):
    made = Device()
    if active:
        made.map(True, 1, TPDO, 255, [(0x2005, 8)])
        made.map(False, 1, RPDO, 255, [(0x2005, 8)])
    return made


def write(made, index, subindex, value):
    """The abort code, or "ok"; what is refused is not kept."""
    before = made.store.values[index, subindex]
    try:
        made.write(index, subindex, value)
    except SdoRefusal as refusal:
        assert made.store.values[index, subindex] == before
        return f"{refusal.code:08X}"
    assert int.from_bytes(made.store.values[index, subindex], "little") == value
    return "ok"


@pytest.mark.parametrize(("at", "can_id"), [(0x1800, TPDO), (0x1400, RPDO)])
def test_the_order_of_cia_301(at, can_id):
    made = device(active=True)
    made.start()
    steps = [(at, 1, can_id | OFF), (at + 0x200, 0, 0), (at + 0x200, 1, WORD), (at + 0x200, 2, BYTE)]
    steps += [(at + 0x200, 0, 2), (at, 2, 1), (at, 1, can_id + 0x100)]
    assert [write(made, *step) for step in steps] == ["ok"] * len(steps)
    pdo = made.pdos.parameters(at == 0x1800, 1)
    assert (pdo.active, pdo.bits, pdo.cob.can_id, pdo.transmission_type) == (True, 24, can_id + 0x100, 1)
    if at == 0x1800:
        made.set((0x2006, 0, 0x0102), (0x2005, 0, 3))
        assert made.sync() == ["020103"]
    else:
        made.hear("020103", can_id + 0x100)
        made.sync()
        assert (made.store.get(0x2006, 0), made.store.get(0x2005, 0)) == (0x0102, 3)


@pytest.mark.parametrize(
    ("index", "subindex", "value", "code"),
    [
        (0x1A00, 0, 0, "06010000"),  # the PDO is on
        (0x1A00, 1, WORD, "06010000"),
        (0x1600, 0, 0, "06010000"),
        (0x1600, 1, WORD, "06010000"),
        (0x1800, 1, TPDO + 1, "06090030"),  # another identifier while it is on
        (0x1800, 1, TPDO | 1 << 29, "06090030"),
        (0x1800, 1, TPDO | NO_RTR, "ok"),
        (0x1800, 1, (TPDO + 1) | OFF, "ok"),
        (0x1800, 3, 7, "06090030"),
        (0x1800, 3, 0, "ok"),  # as it is
        (0x1400, 3, 7, "ok"),  # means nothing there
        (0x1800, 5, 7, "ok"),
        (0x1400, 5, 7, "ok"),
        (0x1800, 6, 7, "06090030"),
        (0x1800, 2, 1, "ok"),
    ],
)
def test_what_can_be_changed_while_the_pdo_is_on(index, subindex, value, code):
    assert write(device(active=True), index, subindex, value) == code


@pytest.mark.parametrize("kind", range(256))
def test_transmission_types(kind):
    made = device()
    reserved = 241 <= kind <= 251
    assert write(made, 0x1800, 2, kind) == ("06090030" if reserved else "ok")
    assert write(made, 0x1400, 2, kind) == ("06090030" if reserved or kind in (252, 253) else "ok")


@pytest.mark.parametrize(("value", "code"), [(0, "ok"), (240, "ok"), (241, "06090030")])
def test_sync_start_value(value, code):
    assert write(device(), 0x1800, 6, value) == code


@pytest.mark.parametrize("can_id", [0, 1, 0x7F, 0x101, 0x180, 0x581, 0x5FF, 0x601, 0x67F, 0x6E0, 0x701, 0x77F, 0x780])
def test_restricted_identifiers(can_id):
    assert write(device(), 0x1800, 1, can_id) == "06090030"
    assert write(device(), 0x1800, 1, can_id | OFF) == "ok"
    assert write(device(), 0x1800, 1, can_id | 1 << 29) == "ok"


@pytest.mark.parametrize(
    ("entry", "as_tpdo", "as_rpdo"),
    [
        (BYTE, "ok", "ok"),
        (0, "ok", "ok"),
        (0x2005_0007, "06040041", "06040041"),  # not its width
        (0x2005_0010, "06040041", "06040041"),
        (0x2001_0001, "ok", "ok"),  # BOOLEAN: a bit or a byte
        (0x2001_0008, "ok", "ok"),
        (0x2001_0002, "06040041", "06040041"),
        (0x2009_0040, "ok", "ok"),  # a string
        (0x2009_0048, "06040041", "06040041"),
        (0x2009_0004, "06040041", "06040041"),
        (0x200C_0030, "ok", "ok"),
        (0x201B_0040, "ok", "ok"),
        (0x2101_0008, "ok", "06040041"),  # read only
        (0x2102_0008, "06040041", "ok"),  # write only
        (0x2200_0008, "06040041", "06040041"),  # cannot be mapped
        (0x2F00_0008, "06020000", "06020000"),
        (0x2005_0108, "06090011", "06090011"),
        (0x0005_0008, "06020000", "ok"),  # dummies are for RPDOs
        (0x0005_0003, "06020000", "ok"),
        (0x0001_0001, "06020000", "ok"),
        (0x0007_0020, "06020000", "ok"),
        (0x0005_0009, "06020000", "06040041"),
        (0x0008_0020, "06020000", "06020000"),
    ],
)
def test_entries(entry, as_tpdo, as_rpdo):
    made = device()
    assert [write(made, index, 1, entry) for index in (0x1A00, 0x1600)] == [as_tpdo, as_rpdo]


def test_entries_come_after_subindex_0_is_0():
    made = device()
    assert [write(made, 0x1A00, 1, BYTE), write(made, 0x1A00, 0, 1)] == ["ok", "ok"]
    assert write(made, 0x1A00, 1, WORD) == "06010000"
    assert [write(made, 0x1A00, 0, 0), write(made, 0x1A00, 1, WORD)] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("entries", "count", "code"),
    [
        ([0x201B_0040], 1, "ok"),
        ([0x201B_0040, BYTE], 2, "06040042"),
        ([0x201B_0040, BYTE], 1, "ok"),
        ([BYTE], 2, "06020000"),  # the second maps nothing
        ([0x2001_0001] * 64, 64, "ok"),
        ([0x2001_0001] * 64, 65, "06090030"),
    ],
)
def test_the_number_of_entries(entries, count, code):
    made = device()
    for slot, entry in enumerate(entries, 1):
        assert write(made, 0x1A00, slot, entry) == "ok"
    assert write(made, 0x1A00, 0, count) == code


def test_a_mapping_with_fewer_slots_than_entries_is_too_long():
    described = dictionary()
    del described.objects[0x1A00].members[2]
    made = Device(described=described)
    made.write(0x1A00, 1, BYTE)
    assert write(made, 0x1A00, 0, 2) == "06040042"


@pytest.mark.parametrize(("lists", "source"), [(True, "ok"), (False, "06090030")])
@pytest.mark.parametrize("index", [0x1A00, 0x1600])
def test_multiplexed_by_source_needs_a_list(lists, source, index):
    made = Device(described=dictionary(lists=lists))
    assert [write(made, index, 0, 0xFE), write(made, index, 0, 0xFF)] == [source, "ok"]


def test_multiplexed_is_event_driven():
    made = device()
    assert [write(made, 0x1A00, 0, 0xFF), write(made, 0x1800, 2, 1), write(made, 0x1800, 1, TPDO)] == [
        "ok",
        "ok",
        "06090030",
    ]
    assert [write(made, 0x1800, 2, 254), write(made, 0x1800, 1, TPDO)] == ["ok", "ok"]
    assert write(made, 0x1800, 2, 1) == "06090030"


def test_a_mapping_from_memory_that_no_frame_holds_maps_nothing():
    made = Device()
    made.map(True, 1, TPDO, 255, [(0x201B, 64), (0x2005, 8)])
    assert made.start() == [] and not made.pdos.tpdos[0].parameters.active
