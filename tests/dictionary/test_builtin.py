"""opendiag.dictionary.builtin: the standards' tables, row by row, and what is looked up in them."""

import itertools
from collections import Counter, defaultdict

import pytest

from opendiag.dictionary import builtin, load
from opendiag.dictionary.datatypes import DataType, bit_width, integer_range, type_name
from opendiag.dictionary.model import ObjectType, Variable
from opendiag.dictionary.tables.cia301 import CIA301, CIA302
from opendiag.dictionary.tables.cia402 import CIA402
from opendiag.wire.emcy import ERROR_REGISTER_BITS

TABLES = {"cia301": CIA301, "cia302": CIA302, "cia402": CIA402}
ROWS = [row for table in TABLES.values() for row in table]
SUBINDICES = (0, 1, 2, 3, 4, 5, 6, 0x40, 0x7F, 0xFE, 0xFF)
ACCESSES = {"ro", "wo", "rw", "rww", "rwr", "const"}
RECORD_TYPES = {
    DataType.PDO_COMMUNICATION,
    DataType.PDO_MAPPING,
    DataType.SDO_PARAMETER,
    DataType.IDENTITY,
}


def last_of(row):
    return max(row.index, row.last)


def items_of(row):
    """Every `Item` that a row has, with a subindex it is for."""
    if row.each is None:
        return list(row.members.items())
    free = next(sub for sub in range(1, row.last_subindex + 1) if sub not in row.members)
    return [*row.members.items(), (free, row.each)]


def for_every_row(check):
    """One test that says which row is wrong."""

    def test():
        for row in ROWS:
            try:
                check(row)
            except AssertionError as error:
                raise AssertionError(f"{row.index:04X}h {row.name}: {error}") from error

    return test


# --- the tables themselves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", TABLES.values(), ids=TABLES)
def test_rows_stand_in_order(table):
    indices = [row.index for row in table]
    assert indices == sorted(set(indices))


def test_no_index_is_described_twice():
    ordered = sorted(ROWS, key=lambda row: row.index)
    assert [f"{b.index:04X}" for a, b in itertools.pairwise(ordered) if b.index <= last_of(a)] == []


def test_tables_keep_to_their_areas():
    assert all(0x1000 <= row.index <= last_of(row) <= 0x1FFF for row in (*CIA301, *CIA302))
    assert all(0x6000 <= row.index <= last_of(row) <= 0x67FF for row in CIA402)


@for_every_row
def test_every_member_is_complete(row):
    for sub, item in items_of(row):
        assert 0 <= sub <= 0xFE
        assert isinstance(item.data_type, DataType)
        assert item.data_type not in RECORD_TYPES
        assert item.access in ACCESSES
        assert item.factor > 0
        assert item.factor == 1 or item.unit, "a factor without a unit says nothing"


@for_every_row
def test_a_value_is_a_quantity_or_a_code(row):
    """A unit and names of values exclude one another, but for a value that switches the thing off."""
    for _, item in items_of(row):
        assert not item.unit or not item.bits
        assert not item.unit or set(item.values.values()) <= {"off"}


@for_every_row
def test_named_bits_and_values_fit_the_type(row):
    for _, item in items_of(row):
        if not (item.bits or item.values):
            continue
        low, high = integer_range(item.data_type)
        assert all(0 <= bit < bit_width(item.data_type) for bit in item.bits)
        assert all(low <= value <= high for value in item.values)
        assert all(text and text == text.strip() for text in [*item.bits.values(), *item.values.values()])
        assert len(set(item.bits.values())) == len(item.bits)


@for_every_row
def test_the_shape_fits_the_object_type(row):
    if row.object_type in (ObjectType.VAR, ObjectType.DOMAIN):
        assert list(row.members) == [0]
        assert row.each is None
        assert (row.members[0].data_type is DataType.DOMAIN) == (row.object_type is ObjectType.DOMAIN)
        return
    assert row.object_type in (ObjectType.ARRAY, ObjectType.RECORD)
    assert row.members[0].data_type is DataType.UNSIGNED8
    assert (row.each is None) == (row.last_subindex == 0)
    assert list(row.members) == sorted(row.members)
    if row.each is not None:
        assert 1 < row.last_subindex <= 0xFE
        assert max(row.members) <= row.last_subindex
        assert row.each.name.count("{}") == 1
        assert row.each.name.format(1) != row.each.name
    if row.object_type is ObjectType.ARRAY:
        further = [item.data_type for sub, item in row.members.items() if sub]
        further += [row.each.data_type] if row.each else []
        assert len(set(further)) == 1


# --- names ---------------------------------------------------------------------------------------------------------

#: Words that keep their capitals inside a name, and those that keep their small letter at its start.
CAPITALS = {
    "CANopen",
    "COB-ID",
    "DC",
    "DCF",
    "EDS",
    "EMCY",
    "ID",
    "NMT",
    "OS",
    "PDO",
    "RPDO",
    "SDO",
    "SI",
    "SYNC",
    "TPDO",
}
CAPITALS |= {"Node-ID", "Vendor-ID"}
SMALL_AT_START = {"http", "ip", "vl"}
STREAMS = {"StdIn", "StdOut", "StdErr"}


def in_sentence_case(name):
    first, *others = name.replace("(", "").replace(")", "").split()
    begins = first in SMALL_AT_START or first in STREAMS or first in CAPITALS or first == first.capitalize()
    return begins and all(word in CAPITALS or word == word.lower() for word in others)


def test_sentence_case():
    assert in_sentence_case("COB-ID used by RPDO")
    assert in_sentence_case("vl pole number")
    assert not in_sentence_case("Guard Time")
    assert not in_sentence_case("guard time")


@for_every_row
def test_names_are_in_sentence_case(row):
    names = [row.name, *(item.name for item in row.members.values()), *([row.each.name] if row.each else [])]
    assert [name for name in names if not name or name != name.strip() or not in_sentence_case(name)] == []


def test_no_two_objects_share_a_name():
    """SDO server 1 has a row of its own: its identifiers cannot be written. 1021h and 1F23h are both CiA's."""
    names = [row.name for row in ROWS]
    assert {name for name in names if names.count(name) > 1} == {"SDO server parameter", "Store EDS"}


@for_every_row
def test_no_two_members_share_a_name(row):
    names = [item.name for item in row.members.values()]
    names += [row.each.name.format(sub) for sub in range(1, row.last_subindex + 1) if sub not in row.members]
    assert len(names) == len(set(names))


# --- looking up ----------------------------------------------------------------------------------------------------


def test_every_index_and_subindex_has_an_answer():
    """None or a variable that says where it stands; a variable exactly where `object_name` knows the object."""
    for index in range(0x10000):
        name = builtin.object_name(index)
        assert (name is None) == (builtin.object_type(index) is None)
        for subindex in SUBINDICES:
            variable = builtin.get.__wrapped__(index, subindex)
            if variable is not None:
                assert (variable.index, variable.subindex) == (index, subindex)
                assert name in builtin.name_of(variable)
                assert "{" not in variable.name
            assert subindex != 0 or (variable is None) == (name is None)


@pytest.mark.parametrize("index", [0, 0x0FFF, 0x1004, 0x1300, 0x2000, 0x5FFF, 0x6000, 0xA000, 0xFFFF])
def test_outside_of_the_standards_there_is_nothing(index):
    assert builtin.get(index, 0) is None
    assert builtin.object_name(index) is None
    assert builtin.object_type(index) is None


def test_every_row_is_found_at_its_first_and_last_index_and_no_further():
    starts = {row.index for row in ROWS}
    for row in ROWS:
        for index in (row.index, last_of(row)):
            assert builtin.object_name(index).startswith(row.name)
            assert builtin.object_type(index) is row.object_type
        after = last_of(row) + 1
        assert after in starts or builtin.object_name(after) is None or after == 0x6800


def test_every_member_is_found_as_its_row_has_it():
    for source, table in TABLES.items():
        for row in table:
            for sub, item in items_of(row):
                variable = builtin.get(row.index, sub)
                assert (variable.data_type, variable.access, variable.source) == (item.data_type, item.access, source)
                assert (variable.unit, variable.factor) == (item.unit, item.factor)
                assert (variable.bits, variable.values) == (item.bits, item.values)
                assert variable.pdo_mappable == item.pdo
                assert variable.default is None


def test_alike_members_end_where_the_standard_says():
    assert builtin.get(0x1A00, 0x40).name == "Application object 64"
    assert builtin.get(0x1A00, 0x41) is None
    assert builtin.get(0x1016, 0x7F).name == "Consumer heartbeat time 127"
    assert builtin.get(0x1016, 0x80) is None
    assert builtin.get(0x1003, 0xFE).name == "Standard error field 254"
    assert builtin.get(0x1003, 0xFF) is None


def test_a_single_value_has_one_subindex():
    assert builtin.get(0x6041, 0).name == "Statusword"
    assert builtin.get(0x6041, 1) is None


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (0x1000, "Device type"),
        (0x1018, "Identity object"),
        (0x1200, "SDO server parameter 1"),
        (0x1201, "SDO server parameter 2"),
        (0x127F, "SDO server parameter 128"),
        (0x1280, "SDO client parameter 1"),
        (0x12FF, "SDO client parameter 128"),
        (0x1400, "RPDO communication parameter 1"),
        (0x15FF, "RPDO communication parameter 512"),
        (0x1600, "RPDO mapping parameter 1"),
        (0x1803, "TPDO communication parameter 4"),
        (0x1A03, "TPDO mapping parameter 4"),
        (0x1BFF, "TPDO mapping parameter 512"),
        (0x1FA0, "Object scanner list 1"),
        (0x1FCF, "Object scanner list 48"),
        (0x1FD0, "Object dispatching list 1"),
        (0x6041, "Statusword"),
        (0x67FF, "Single device type"),
        (0x6841, "Statusword (axis 2)"),
        (0x6FFF, "Single device type (axis 2)"),
        (0x7040, "Controlword (axis 3)"),
        (0x987D, "Software position limit (axis 8)"),
        (0x9FFF, "Single device type (axis 8)"),
    ],
)
def test_object_names(index, name):
    assert builtin.object_name(index) == name


@pytest.mark.parametrize(
    ("index", "subindex", "name"),
    [
        (0x6041, 0, "Statusword"),
        (0x6841, 0, "Statusword (axis 2)"),
        (0x1018, 1, "Identity object.Vendor-ID"),
        (0x1A03, 2, "TPDO mapping parameter 4.Application object 2"),
        (0x1A03, 0, "TPDO mapping parameter 4.Number of mapped objects"),
        (0x1010, 1, "Store parameters.Save all parameters"),
        (0x1010, 4, "Store parameters.Save manufacturer defined parameters 4"),
        (0x607D, 2, "Software position limit.Max position limit"),
        (0x987D, 2, "Software position limit (axis 8).Max position limit"),
        (0x1021, 0, "Store EDS"),
        (0x1F22, 5, "Concise DCF.Node 5"),
        (0x1F82, 0x7F, "Request NMT.Node 127"),
        (0x1F82, 0x80, "Request NMT.All nodes"),
        (0x1F50, 2, "Program data.Program 2"),
    ],
)
def test_name_of(index, subindex, name):
    assert builtin.name_of(builtin.get(index, subindex)) == name


def test_the_name_of_a_variable_no_standard_knows_is_its_own():
    assert builtin.name_of(Variable(0x2000, 3, "Hall angle", DataType.INTEGER16)) == "Hall angle"


def test_every_axis_has_the_objects_of_the_first():
    for axis in range(8):
        for row in CIA402:
            for sub, item in items_of(row):
                variable = builtin.get.__wrapped__(row.index + axis * 0x800, sub)
                assert (variable.data_type, variable.unit, variable.factor) == (item.data_type, item.unit, item.factor)
                assert variable.source == "cia402"


@pytest.mark.parametrize("index", [0x1F20, 0x1F22, 0x1F26, 0x1F55, 0x1F81, 0x1F82, 0x1F84, 0x1F88, 0x1F8A])
def test_objects_with_a_member_for_each_node(index):
    assert builtin.get(index, 1).name == "Node 1"
    assert builtin.get(index, 127).name == "Node 127"
    assert (builtin.get(index, 128) is None) == (index != 0x1F82)
    assert builtin.get(index, 129) is None


@pytest.mark.parametrize("index", [0x60F6, 0x60F7, 0x60FB, 0x6410, 0x6510, 0x1F91])
def test_a_record_the_device_fills_has_a_name_only(index):
    assert builtin.object_type(index) is ObjectType.RECORD
    assert builtin.get(index, 0).name == "Highest sub-index supported"
    assert builtin.get(index, 1) is None


@pytest.mark.parametrize(
    ("index", "subindex", "unit", "factor"),
    [
        (0x1006, 0, "us", 1),
        (0x100C, 0, "ms", 1),
        (0x1015, 0, "us", 100),
        (0x1017, 0, "ms", 1),
        (0x102A, 0, "us", 100),
        (0x1400, 5, "ms", 1),
        (0x1800, 3, "us", 100),
        (0x1800, 5, "ms", 1),
        (0x1F89, 0, "ms", 1),
        (0x6064, 0, "position units", 1),
        (0x6066, 0, "ms", 1),
        (0x606C, 0, "velocity units", 1),
        (0x6071, 0, "% of rated torque", 0.1),
        (0x6073, 0, "% of rated current", 0.1),
        (0x6075, 0, "mA", 1),
        (0x6076, 0, "mNm", 1),
        (0x6077, 0, "% of rated torque", 0.1),
        (0x6078, 0, "% of rated current", 0.1),
        (0x6079, 0, "mV", 1),
        (0x6083, 0, "acceleration units", 1),
        (0x60FC, 0, "increments", 1),
        (0x6877, 0, "% of rated torque", 0.1),
    ],
)
def test_units(index, subindex, unit, factor):
    variable = builtin.get(index, subindex)
    assert (variable.unit, variable.factor) == (unit, factor)


@pytest.mark.parametrize(
    ("index", "subindex", "value", "text"),
    [
        (0x1800, 2, 0, "synchronous, acyclic"),
        (0x1800, 2, 1, "synchronous, every SYNC"),
        (0x1400, 2, 240, "synchronous, every 240 SYNCs"),
        (0x1800, 2, 253, "on remote request"),
        (0x1800, 2, 255, "event driven (profile)"),
        (0x1600, 0, 0xFF, "DAM MPDO"),
        (0x1029, 1, 1, "no change of NMT state"),
        (0x1F51, 1, 1, "start, or running"),
        (0x1F57, 1, 0x00, "ok"),
        (0x1F57, 1, 0x03, "no valid program, busy"),
        (0x1F82, 3, 0x7F, "pre-operational"),
        (0x6061, 0, 8, "cyclic synchronous position (csp)"),
        (0x605A, 0, 2, "quick stop ramp, then SWITCH ON DISABLED"),
        (0x605A, 0, 6, "quick stop ramp, stay in QUICK STOP ACTIVE"),
        (0x60C2, 2, -3, "x 10^-3 s"),
        (0x6402, 0, 3, "permanent magnet synchronous motor"),
    ],
)
def test_named_values(index, subindex, value, text):
    assert builtin.get(index, subindex).values[value] == text


def test_241_to_251_are_no_transmission_types():
    assert not set(range(241, 252)) & set(builtin.get(0x1800, 2).values)


def test_named_bits():
    assert builtin.get(0x1001, 0).bits == ERROR_REGISTER_BITS
    assert set(builtin.get(0x6041, 0).bits) == set(builtin.get(0x6040, 0).bits) == set(range(16))
    assert builtin.get(0x607E, 0).bits == {6: "velocity reversed", 7: "position reversed"}
    assert builtin.get(0x60FD, 0).bits[0] == "negative limit switch"
    assert 4 not in builtin.get(0x6502, 0).bits


def test_the_profile_objects_a_drive_must_have_are_typed_as_the_standard_types_them():
    words = {0x603F: 16, 0x6040: 16, 0x6041: 16, 0x6060: 8, 0x6061: 8, 0x6064: 32, 0x607A: 32, 0x60FF: 32, 0x6502: 32}
    signed = {0x6060, 0x6061, 0x6064, 0x607A, 0x60FF}
    for index, bits in words.items():
        variable = builtin.get(index, 0)
        assert bit_width(variable.data_type) == bits
        assert (integer_range(variable.data_type)[0] < 0) == (index in signed)
        assert variable.pdo_mappable == (index != 0x6502)


# --- real device files ---------------------------------------------------------------------------------------------

#: Members whose type the standards leave to the manufacturer: the majority of a few files says nothing about them.
NOT_THE_STANDARDS = (0x60FB, 0x6510)
ENOUGH_VENDORS = 3


def types_by_vendor(directory):
    """(index, subindex) -> vendor -> the type that most of the vendor's files give it."""
    counts = defaultdict(lambda: defaultdict(Counter))
    for path in sorted(directory.glob("*.eds")):
        device = load(path)
        vendor = device.device.vendor_name.strip().lower() or device.device.vendor_id
        drive = device.get(0x6041, 0) is not None
        for variable in device.variables():
            if 0x1000 <= variable.index <= 0x1FFF or (drive and 0x6000 <= variable.index <= 0x67FF):
                counts[variable.index, variable.subindex][vendor][variable.data_type] += 1
    return {key: [types.most_common(1)[0][0] for types in vendors.values()] for key, vendors in counts.items()}


@pytest.mark.corpus
def test_data_types_are_those_of_most_real_devices(corpus):
    checked, wrong = 0, []
    for (index, subindex), types in types_by_vendor(corpus / "dictionaries").items():
        if len(types) < ENOUGH_VENDORS or (index in NOT_THE_STANDARDS and subindex):
            continue
        ours = builtin.get(index, subindex)
        majority = Counter(types).most_common(1)[0][0]
        checked += 1
        if ours is None or ours.data_type != majority:
            wrong.append((f"{index:04X}:{subindex:02X}", ours and ours.type_name, type_name(majority)))
    assert wrong == []
    assert checked > 300
