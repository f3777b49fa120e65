"""opendiag.dictionary.builtin and its tables: what the standards say where no file does."""

import re
import subprocess
import sys
from collections import Counter, defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.dictionary import builtin
from opendiag.dictionary.datatypes import BIT_WIDTHS, DataType, integer_range, is_integer
from opendiag.dictionary.model import ObjectType
from opendiag.dictionary.tables.cia301 import CIA301, CIA302, TRANSMISSION_TYPES
from opendiag.dictionary.tables.cia402 import CIA402

ROWS = [(source, row) for source, table in (("301", CIA301), ("302", CIA302), ("402", CIA402)) for row in table]
ROW_IDS = [f"{source}-{row.index:04X}" for source, row in ROWS]
ITEMS = [
    pytest.param(row, item, id=f"{row.index:04X}-{sub}")
    for _, row in ROWS
    for sub, item in [*row.members.items(), *([("n", row.each)] if row.each else [])]
]


@pytest.mark.parametrize(
    ("index", "subindex", "name", "data_type", "access", "source"),
    [
        (0x1000, 0, "Device type", DataType.UNSIGNED32, "ro", "cia301"),
        (0x1001, 0, "Error register", DataType.UNSIGNED8, "ro", "cia301"),
        (0x1003, 0, "Pre-defined error field.Number of errors", DataType.UNSIGNED8, "rw", "cia301"),
        (0x1003, 0xFE, "Pre-defined error field.Standard error field 254", DataType.UNSIGNED32, "ro", "cia301"),
        (0x1008, 0, "Manufacturer device name", DataType.VISIBLE_STRING, "const", "cia301"),
        (0x1010, 1, "Store parameters.Save all parameters", DataType.UNSIGNED32, "rw", "cia301"),
        (0x1016, 0x7F, "Consumer heartbeat time.Consumer heartbeat time 127", DataType.UNSIGNED32, "rw", "cia301"),
        (0x1017, 0, "Producer heartbeat time", DataType.UNSIGNED16, "rw", "cia301"),
        (0x1018, 1, "Identity object.Vendor-ID", DataType.UNSIGNED32, "ro", "cia301"),
        (0x1020, 2, "Verify configuration.Configuration time", DataType.UNSIGNED32, "rw", "cia301"),
        (0x1026, 3, "OS prompt.StdErr", DataType.UNSIGNED8, "ro", "cia301"),
        (0x102A, 0, "NMT inhibit time", DataType.UNSIGNED16, "rw", "cia302"),
        (0x1200, 1, "SDO server parameter 1.COB-ID client to server (rx)", DataType.UNSIGNED32, "ro", "cia301"),
        (0x127F, 3, "SDO server parameter 128.Node-ID of the SDO client", DataType.UNSIGNED8, "rw", "cia301"),
        (0x1281, 3, "SDO client parameter 2.Node-ID of the SDO server", DataType.UNSIGNED8, "rw", "cia301"),
        (0x1400, 6, "RPDO communication parameter 1.SYNC start value", DataType.UNSIGNED8, "rw", "cia301"),
        (0x15FF, 5, "RPDO communication parameter 512.Event timer", DataType.UNSIGNED16, "rw", "cia301"),
        (0x1600, 0x40, "RPDO mapping parameter 1.Application object 64", DataType.UNSIGNED32, "rw", "cia301"),
        (0x1801, 1, "TPDO communication parameter 2.COB-ID used by TPDO", DataType.UNSIGNED32, "rw", "cia301"),
        (0x1BFF, 0, "TPDO mapping parameter 512.Number of mapped objects", DataType.UNSIGNED8, "rw", "cia301"),
        (0x1F22, 5, "Concise DCF.Node 5", DataType.DOMAIN, "rw", "cia302"),
        (0x1F80, 0, "NMT startup", DataType.UNSIGNED32, "rw", "cia302"),
        (0x1F81, 127, "NMT slave assignment.Node 127", DataType.UNSIGNED32, "rw", "cia302"),
        (0x1F82, 0x80, "Request NMT.All nodes", DataType.UNSIGNED8, "wo", "cia302"),
        (0x1F90, 3, "NMT flying master timing parameters.NMT master priority", DataType.UNSIGNED16, "rw", "cia302"),
        (0x1FA1, 3, "Object scanner list 2.Scan 3", DataType.UNSIGNED32, "rw", "cia301"),
        (0x603F, 0, "Error code", DataType.UNSIGNED16, "ro", "cia402"),
        (0x6040, 0, "Controlword", DataType.UNSIGNED16, "rww", "cia402"),
        (0x6041, 0, "Statusword", DataType.UNSIGNED16, "ro", "cia402"),
        (0x6048, 2, "vl velocity acceleration.Delta time", DataType.UNSIGNED16, "rww", "cia402"),
        (0x6060, 0, "Modes of operation", DataType.INTEGER8, "rww", "cia402"),
        (0x6064, 0, "Position actual value", DataType.INTEGER32, "ro", "cia402"),
        (0x606C, 0, "Velocity actual value", DataType.INTEGER32, "ro", "cia402"),
        (0x6078, 0, "Current actual value", DataType.INTEGER16, "ro", "cia402"),
        (0x607D, 2, "Software position limit.Max position limit", DataType.INTEGER32, "rw", "cia402"),
        (0x6093, 2, "Position factor.Divisor", DataType.UNSIGNED32, "rw", "cia402"),
        (0x60A4, 6, "Profile jerk.Profile jerk 6", DataType.UNSIGNED32, "rw", "cia402"),
        (0x60C1, 1, "Interpolation data record.Interpolation data 1", DataType.INTEGER32, "rww", "cia402"),
        (0x60C2, 2, "Interpolation time period.Interpolation time index", DataType.INTEGER8, "rw", "cia402"),
        (0x60FE, 1, "Digital outputs.Physical outputs", DataType.UNSIGNED32, "rww", "cia402"),
        (0x6502, 0, "Supported drive modes", DataType.UNSIGNED32, "ro", "cia402"),
        (0x67FF, 0, "Single device type", DataType.UNSIGNED32, "ro", "cia402"),
    ],
)
def test_objects_by_name(index, subindex, name, data_type, access, source):
    variable = builtin.get(index, subindex)
    assert variable is not None
    assert builtin.name_of(variable) == name
    assert (variable.data_type, variable.access, variable.source) == (data_type, access, source)
    assert (variable.index, variable.subindex) == (index, subindex)


@pytest.mark.parametrize(
    ("index", "subindex"),
    [
        (0x0000, 0),
        (0x0FFF, 0),
        (0x1004, 0),  # reserved
        (0x1003, 0xFF),
        (0x1016, 0x80),
        (0x1018, 5),
        (0x1400, 7),
        (0x1600, 0x41),
        (0x1C00, 0),
        (0x1F81, 0x80),
        (0x1F91, 1),  # what it holds is not in the tables
        (0x2000, 0),  # manufacturer specific
        (0x5FFF, 0),
        (0x6041, 1),
        (0x607D, 3),
        (0x60FB, 1),  # the manufacturer's
        (0xA041, 0),  # there is no ninth axis
        (0xFFFF, 0),
    ],
)
def test_nothing_is_made_up(index, subindex):
    assert builtin.get(index, subindex) is None


@pytest.mark.parametrize(
    ("index", "subindex", "unit", "factor"),
    [
        (0x1006, 0, "us", 1),
        (0x100C, 0, "ms", 1),
        (0x1015, 0, "us", 100),
        (0x1017, 0, "ms", 1),
        (0x1403, 3, "us", 100),
        (0x1803, 3, "us", 100),
        (0x1803, 5, "ms", 1),
        (0x1F89, 0, "ms", 1),
        (0x6048, 2, "s", 1),
        (0x6064, 0, "position units", 1),
        (0x6063, 0, "increments", 1),
        (0x606C, 0, "velocity units", 1),
        (0x6066, 0, "ms", 1),
        (0x6071, 0, "% of rated torque", 0.1),
        (0x6073, 0, "% of rated current", 0.1),
        (0x6075, 0, "mA", 1),
        (0x6076, 0, "mNm", 1),
        (0x6077, 0, "% of rated torque", 0.1),
        (0x6078, 0, "% of rated current", 0.1),
        (0x6079, 0, "mV", 1),
        (0x6083, 0, "acceleration units", 1),
        (0x6087, 0, "% of rated torque/s", 0.1),
        (0x6099, 2, "velocity units", 1),
        (0x60B2, 0, "% of rated torque", 0.1),
        (0x6041, 0, "", 1),
        (0x60FA, 0, "", 1),  # control effort: no unit that is fixed
    ],
)
def test_units(index, subindex, unit, factor):
    variable = builtin.get(index, subindex)
    assert (variable.unit, variable.factor) == (unit, factor)


@pytest.mark.parametrize(
    ("index", "subindex", "value", "text"),
    [
        (0x1029, 1, 2, "enter stopped"),
        (0x1400, 2, 0, "synchronous, acyclic"),
        (0x1800, 2, 240, "synchronous, every 240 SYNCs"),
        (0x1800, 2, 255, "event driven (profile)"),
        (0x1600, 0, 0xFE, "SAM MPDO"),
        (0x1A00, 0, 0xFF, "DAM MPDO"),
        (0x1F51, 1, 1, "start, or running"),
        (0x1F57, 1, 0x00, "ok"),
        (0x1F57, 1, 0x0B, "flash write error, busy"),
        (0x1F82, 9, 0x7F, "pre-operational"),
        (0x6007, 0, 2, "disable voltage command"),
        (0x605A, 0, 2, "quick stop ramp, then SWITCH ON DISABLED"),
        (0x605A, 0, 6, "quick stop ramp, stay in QUICK STOP ACTIVE"),
        (0x605D, 0, 1, "slow down ramp, stay in OPERATION ENABLED"),
        (0x6060, 0, 8, "cyclic synchronous position (csp)"),
        (0x6061, 0, 6, "homing (hm)"),
        (0x6065, 0, 0xFFFFFFFF, "off"),
        (0x6086, 0, 1, "sin2 ramp"),
        (0x6098, 0, 37, "current position"),
        (0x60C2, 2, -3, "x 10^-3 s"),
        (0x6402, 0, 8, "stepper motor"),
    ],
)
def test_values_in_words(index, subindex, value, text):
    assert builtin.get(index, subindex).values[value] == text


@pytest.mark.parametrize(
    ("index", "subindex", "bit", "text"),
    [
        (0x1001, 0, 4, "communication"),
        (0x1F80, 0, 0, "is the NMT master"),
        (0x1F81, 3, 3, "mandatory"),
        (0x6040, 0, 8, "halt"),
        (0x6041, 0, 9, "remote"),
        (0x607E, 0, 7, "position reversed"),
        (0x60B8, 0, 4, "sample at positive edge"),
        (0x60FD, 0, 2, "home switch"),
        (0x6502, 0, 7, "csp"),
    ],
)
def test_bits_in_words(index, subindex, bit, text):
    assert builtin.get(index, subindex).bits[bit] == text


def test_transmission_types_leave_out_what_is_reserved():
    assert sorted(TRANSMISSION_TYPES) == [*range(241), 252, 253, 254, 255]


# -- axes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "name"),
    [
        (0x6041, "Statusword"),
        (0x6841, "Statusword (axis 2)"),
        (0x9841, "Statusword (axis 8)"),
        (0x9FFF, "Single device type (axis 8)"),
        (0x687D, "Software position limit (axis 2)"),
        (0x3841, None),
        (0xA041, None),
    ],
)
def test_axes_are_said_in_the_name(index, name):
    assert builtin.object_name(index) == name


def test_a_member_of_a_further_axis():
    variable = builtin.get(0x687D, 1)
    assert variable.name == "Min position limit"
    assert builtin.name_of(variable) == "Software position limit (axis 2).Min position limit"


@given(st.sampled_from(CIA402), st.integers(1, 7), st.integers(0, 255))
def test_every_axis_is_like_the_first(row, axis, subindex):
    first, other = builtin.get(row.index, subindex), builtin.get(row.index + axis * 0x800, subindex)
    assert (first is None) == (other is None)
    if first is not None:
        assert (other.data_type, other.unit, other.bits, other.values) == (
            first.data_type,
            first.unit,
            first.bits,
            first.values,
        )
        assert other.index == row.index + axis * 0x800


# -- object types --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("index", "object_type"),
    [
        (0x1000, ObjectType.VAR),
        (0x1003, ObjectType.ARRAY),
        (0x1018, ObjectType.RECORD),
        (0x1021, ObjectType.DOMAIN),
        (0x14FF, ObjectType.RECORD),
        (0x607D, ObjectType.ARRAY),
        (0x60C4, ObjectType.RECORD),
        (0x6841, ObjectType.VAR),
        (0x2000, None),
    ],
)
def test_object_types(index, object_type):
    assert builtin.object_type(index) == object_type


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFF))
def test_the_four_questions_agree(index, subindex):
    variable = builtin.get(index, subindex)
    known = builtin.object_name(index) is not None
    assert (builtin.object_type(index) is not None) == known
    if variable is not None:
        assert known
        assert (variable.index, variable.subindex) == (index, subindex)
        assert builtin.name_of(variable).startswith(builtin.object_name(index))
        assert "{" not in builtin.name_of(variable)


# -- the tables themselves -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("source", "row"), ROWS, ids=ROW_IDS)
def test_rows(source, row):
    ranges = {"301": [(0x1000, 0x1FFF)], "302": [(0x102A, 0x102A), (0x1F00, 0x1FFF)], "402": [(0x6000, 0x67FF)]}[source]
    assert any(low <= row.index <= max(row.index, row.last) <= high for low, high in ranges)
    assert row.name and row.name == row.name.strip() and "{" not in row.name
    assert 0 in row.members
    assert all(0 <= sub <= 0xFE for sub in row.members)
    assert 0 <= row.last_subindex <= 0xFE
    assert (row.each is None) == (row.last_subindex == 0)
    if row.object_type in (ObjectType.VAR, ObjectType.DOMAIN):
        assert set(row.members) == {0} and row.each is None
    else:
        assert row.members[0].data_type == DataType.UNSIGNED8


@pytest.mark.parametrize(("row", "item"), ITEMS)
def test_items(row, item):
    assert item.name and item.name == item.name.strip()
    assert item.data_type in BIT_WIDTHS or item.data_type in (
        DataType.VISIBLE_STRING,
        DataType.OCTET_STRING,
        DataType.DOMAIN,
    )
    assert item.access in ("ro", "wo", "rw", "rwr", "rww", "const")
    assert item.factor > 0 and (item.factor == 1 or item.unit)
    if item.bits or item.values or item.unit:
        assert is_integer(item.data_type)
        low, high = integer_range(item.data_type)
        assert all(low <= value <= high for value in item.values)
        assert all(0 <= bit < BIT_WIDTHS[item.data_type] for bit in item.bits)
        assert all([*item.bits.values(), *item.values.values()])


def test_members_that_stand_for_many_say_which():
    for _, row in ROWS:
        assert row.each is None or "{}" in row.each.name


def test_no_index_twice():
    counted = Counter(i for _, row in ROWS for i in range(row.index, max(row.index, row.last) + 1))
    assert [f"{index:04X}" for index, times in counted.items() if times > 1] == []


def test_names_of_one_object_differ():
    for _, row in ROWS:
        names = [item.name for item in row.members.values()]
        assert len(set(names)) == len(names), f"{row.index:04X}"


def test_nothing_heavy_is_imported():
    code = "import sys, opendiag.dictionary.builtin; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not {"numpy", "json", "can", "click", "rich"} & set(loaded)


# -- against real dictionaries -------------------------------------------------------------------------------------

_SECTION = re.compile(r"^\s*\[([0-9A-Fa-f]{4})(?:sub([0-9A-Fa-f]{1,2}))?\]", re.IGNORECASE)
_ENTRY = re.compile(r"^\s*(DataType|ObjectType)\s*=\s*(0x[0-9A-Fa-f]+|\d+)", re.IGNORECASE)
_FILES = (
    "301__KITmedical*.eds",
    "402__KITmedical*.eds",
    "maxon_epos4*.eds",
    "m__Hebelom_PD4*.eds",
    "TMCM-1636-CANopen_Hw1.1_Fw1.12*.eds",
)
#: Where single files differ from the standard: one drive has its torque limits as INTEGER16, one its second encoder's
#: increments as INTEGER32.
_DIFFERENT = {(0x60E0, 0), (0x60E1, 0), *((0x60E6, sub) for sub in range(1, 0xFF))}


def _data_types(path):
    """(index, subindex) -> data type, by a scan that shares nothing with the reader of the package."""
    found, place, whole = {}, None, False
    for line in path.read_text("latin-1").splitlines():
        if line.lstrip().startswith("["):
            section = _SECTION.match(line)
            place = section and (int(section[1], 16), int(section[2] or "0", 16))
            whole = bool(section) and section[2] is None
        elif place and (entry := _ENTRY.match(line)):
            number = int(entry[2], 0)
            if entry[1].lower() == "datatype":
                found.setdefault(place, number)
            elif whole and number in (8, 9):
                place = None  # an array or record: its members follow
    return found


@pytest.mark.corpus
def test_data_types_of_real_devices(corpus):
    paths = [path for pattern in _FILES for path in sorted((corpus / "dictionaries").glob(pattern))]
    if len(paths) < len(_FILES):
        pytest.skip(f"not all of {', '.join(_FILES)} are in {corpus / 'dictionaries'}")
    votes = defaultdict(Counter)
    for path in paths:
        for (index, subindex), data_type in _data_types(path).items():
            if 0x1000 <= index <= 0x1FFF or 0x6000 <= index <= 0x67FF:
                votes[index, subindex][data_type] += 1
    compared, wrong = 0, []
    for (index, subindex), counted in sorted(votes.items()):
        variable = builtin.get(index, subindex)
        if variable is None or (index, subindex) in _DIFFERENT:
            continue
        compared += 1
        if variable.data_type != counted.most_common(1)[0][0]:
            wrong.append(f"{variable.text} {variable.type_name}, files say {dict(counted)}")
    assert wrong == []
    assert compared > 200
