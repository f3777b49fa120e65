"""eds/stepim.eds: the bundled dictionary of the Servotronix StepIM, against facts and an independent reader."""

import canopen
import pytest

from opendiag.dictionary import load
from opendiag.dictionary.datatypes import DataType, integer_range
from opendiag.dictionary.model import NodeIdPlus, ObjectType
from opendiag.resources import bundled_path

FACTORY_NODE_ID = 101
POSITION = ((0x6062, 0), (0x6063, 0), (0x6064, 0), (0x6065, 0), (0x6067, 0), (0x607A, 0), (0x607C, 0), (0x60F4, 0))
SOFTWARE_LIMITS = ((0x607D, 1), (0x607D, 2))
VELOCITY = ((0x606B, 0), (0x606C, 0), (0x60FF, 0), (0x6081, 0), (0x20EE, 0), (0x2F0A, 0))
CURRENT = ((0x6071, 0), (0x6073, 0), (0x6074, 0), (0x6075, 0), (0x6078, 0), (0x2036, 0), (0x2F02, 0), (0x2F2E, 0))
VOLTAGE = ((0x6079, 0), (0x20A1, 0), (0x20CF, 0), (0x2F85, 0))


@pytest.fixture(scope="module")
def stepim():
    return load("stepim")


def test_nothing_is_odd_about_it(stepim):
    assert [str(finding) for finding in stepim.findings] == []


def test_how_much_there_is(stepim):
    assert len(stepim) == 328
    assert sum(1 for _ in stepim.variables()) == 675
    assert (
        sum(1 for found in stepim.objects.values() if found.object_type in (ObjectType.ARRAY, ObjectType.RECORD)) == 81
    )
    text = bundled_path("eds").joinpath("stepim.eds").read_text("ascii")
    assert text.count("\n[") == 675 + 81 + 7  # values, heads of arrays and records, FileInfo to ManufacturerObjects


def test_device(stepim):
    device = stepim.device
    assert (device.vendor_id, device.product_code, device.revision) == (0x2E1, 0xA5A5, 0)
    assert (device.vendor_name, device.product_name) == ("Servotronix Motion Control Ltd.", "StepIM")
    assert device.bit_rates == (125, 250, 500, 1000)
    assert [stepim[0x1018, sub].default for sub in range(4)] == [4, 0x2E1, 0xA5A5, 0]
    assert stepim[0x1000, 0].default == 0x00020192
    assert stepim.node_id is None  # a type of device, not a configured one
    assert stepim[0x2F1B, 0].default == FACTORY_NODE_ID
    assert (stepim[0x2F1B, 0].low, stepim[0x2F1B, 0].high) == (1, 127)
    assert (stepim[0x2F1F, 0].default, stepim[0x2F1F, 0].high) == (0, 8)


@pytest.mark.parametrize(
    ("index", "kind", "cob_id"),
    [
        (0x1400, NodeIdPlus(0x200), 0x265),
        (0x1401, NodeIdPlus(0x300), 0x365),
        (0x1402, NodeIdPlus(0x400), 0x465),
        (0x1403, NodeIdPlus(0x500), 0x565),
        (0x1404, 0x500, 0x500),
        (0x1405, 0x500, 0x500),
        (0x1406, 0x500, 0x500),
        (0x1407, 0x500, 0x500),
        (0x1800, NodeIdPlus(0x180), 0x1E5),
        (0x1801, NodeIdPlus(0x280), 0x2E5),
        (0x1802, NodeIdPlus(0x380), 0x3E5),
        (0x1803, NodeIdPlus(0x480), 0x4E5),
        (0x1804, 0x480, 0x480),
        (0x1805, 0x480, 0x480),
        (0x1806, 0x480, 0x480),
        (0x1807, 0x480, 0x480),
        (0x1200, NodeIdPlus(0x600), 0x665),
    ],
)
def test_cob_ids_of_pdos_and_sdo(stepim, index, kind, cob_id):
    variable = stepim[index, 1]
    assert variable.default == kind
    assert variable.configured(FACTORY_NODE_ID) == cob_id


def test_other_cob_ids(stepim):
    assert stepim[0x1200, 2].configured(FACTORY_NODE_ID) == 0x5E5
    assert stepim[0x1014, 0].configured(FACTORY_NODE_ID) == 0xE5
    assert stepim[0x1005, 0].default == 0x80000080


@pytest.mark.parametrize(
    ("index", "count", "slots"),
    [
        (0x1600, 2, [0x60400010, 0x60600008, 0, 0]),
        (0x1601, 2, [0x607A0020, 0x60810020, 0, 0]),
        (0x1602, 2, [0x60710010, 0x60FF0020, 0, 0]),
        (0x1603, 0, [0, 0, 0, 0]),
        (0x1607, 0, [0, 0, 0, 0]),
        (0x1A00, 2, [0x60410010, 0x60610008, 0, 0]),
        (0x1A01, 2, [0x60640020, 0x606C0020, 0, 0]),
        (0x1A02, 3, [0x60780010, 0x60740010, 0x606B0020, 0]),
        (0x1A03, 1, [0x60FA0020, 0x60F40020, 0, 0]),  # the second slot is filled but not in use
        (0x1A04, 0, [0, 0, 0, 0]),
        (0x1A07, 0, [0, 0, 0, 0]),
    ],
)
def test_mappings(stepim, index, count, slots):
    assert stepim[index, 0].default == count
    assert [stepim[index, sub].default for sub in range(1, 5)] == slots
    assert stepim.get(index, 5) is None


@pytest.mark.parametrize("parameter", [*range(0x1600, 0x1608), *range(0x1A00, 0x1A08)])
def test_what_is_mapped_exists_can_be_mapped_and_has_that_length(stepim, parameter):
    for sub in range(1, 5):
        entry = stepim[parameter, sub].default
        if not entry:
            continue
        variable = stepim[entry >> 16, entry >> 8 & 0xFF]
        low, high = integer_range(variable.data_type)
        assert variable.pdo_mappable
        assert high - low == 2 ** (entry & 0xFF) - 1


def test_transmission(stepim):
    assert [stepim[0x1400 + n, 2].default for n in range(8)] == [1, 1, 1, 255, 255, 255, 255, 255]
    assert [stepim[0x1800 + n, 2].default for n in range(8)] == [255] * 8
    inhibit = stepim[0x1800, 3]
    assert inhibit.default * inhibit.factor == pytest.approx(200)
    assert inhibit.unit == "ms"
    assert stepim[0x1017, 0].default == 2000 and stepim[0x1006, 0].default == 4000


@pytest.mark.parametrize("key", POSITION + SOFTWARE_LIMITS)
def test_positions_are_counts_and_revolutions(stepim, key):
    variable = stepim[key]
    assert (variable.unit, variable.factor) == ("counts", 1.0)
    assert (variable.alt_unit, variable.alt_factor) == ("rev", 1 / 4096)


@pytest.mark.parametrize("key", VELOCITY)
def test_velocities_are_hundredths_of_rpm(stepim, key):
    assert (stepim[key].unit, stepim[key].factor) == ("rpm", 0.01)


@pytest.mark.parametrize("key", CURRENT)
def test_currents_are_milliampere_and_not_per_mille(stepim, key):
    assert (stepim[key].unit, stepim[key].factor) == ("mA", 1.0)


@pytest.mark.parametrize("key", VOLTAGE)
def test_voltages(stepim, key):
    variable = stepim[key]
    assert (variable.unit, variable.factor, variable.alt_unit, variable.alt_factor) == ("mV", 1.0, "V", 0.001)


def test_other_units_and_none_where_none_is_known(stepim):
    assert stepim[0x2044, 0].unit == "degC"
    assert stepim[0x1017, 0].unit == "ms" and stepim[0x1006, 0].unit == "us"
    assert [stepim[key].unit for key in ((0x60FA, 0), (0x6083, 0), (0x6041, 0), (0x607D, 0), (0x2F1B, 0))] == [""] * 5


@pytest.mark.parametrize(
    ("key", "name", "data_type", "access", "default", "low", "high"),
    [
        ((0x1013, 0), "High Resolution Time Stamp", DataType.UNSIGNED32, "rwr", 0, None, None),
        ((0x6040, 0), "Controlword", DataType.UNSIGNED16, "rw", None, None, None),
        ((0x6041, 0), "Statusword", DataType.UNSIGNED16, "ro", None, None, None),
        ((0x6060, 0), "Modes of Operation", DataType.INTEGER8, "rw", 4, -6, 8),
        ((0x6061, 0), "Modes of Operation Display", DataType.INTEGER8, "ro", None, -128, 10),
        ((0x6063, 0), "Position Actual Value", DataType.INTEGER32, "ro", 0, None, None),
        ((0x6064, 0), "Position Actual Internal Value", DataType.INTEGER32, "ro", 0, None, None),
        ((0x6071, 0), "Target Torque", DataType.INTEGER16, "rw", 0, -30000, 30000),
        ((0x6073, 0), "Max Current", DataType.UNSIGNED16, "rw", 4500, 0, 30000),
        ((0x6075, 0), "Motor Rated Current", DataType.UNSIGNED32, "rw", 3000, None, None),
        ((0x6078, 0), "Current Actual Value", DataType.INTEGER16, "ro", None, None, None),
        ((0x607B, 1), "Min Position Range Limit", DataType.INTEGER32, "rw", -(2**31), -(2**31), -(2**31)),
        ((0x607D, 1), "Minimum Software Position Limit", DataType.INTEGER32, "rw", 1 - 2**31, 1 - 2**31, 2**31 - 1),
        ((0x608B, 0), "Velocity Notation Index", DataType.INTEGER8, "rw", -2, -2, -2),
        ((0x6098, 0), "Homing Method", DataType.INTEGER8, "rw", 1, -4, 35),
        ((0x20F1, 0), "Motor Encoder Resolution", DataType.UNSIGNED32, "ro", 4096, 4096, 4096),
        ((0x20CF, 0), "Under-Voltage Threshold", DataType.UNSIGNED32, "rw", 12600, 12600, 52000),
        ((0x20F6, 0), "Analog Input Offset", DataType.INTEGER16, "rw", 0, -20000, 20000),
        ((0x2069, 0), "Phase C Current Offset 1", DataType.INTEGER16, "ro", -2047, None, None),
        ((0x2F90, 0), "Number of Entries", DataType.UNSIGNED8, "ro", 8, None, None),
        ((0x2F90, 8), "Next Segment Index", DataType.INTEGER32, "rw", -1, -1, 9),
        ((0x60C1, 0), "Number of Entries", DataType.UNSIGNED8, "const", 1, None, None),
        ((0x2FC0, 0), "Calibration Table", DataType.DOMAIN, "rw", None, None, None),
        ((0x2F7A, 0), "Serial Number", DataType.VISIBLE_STRING, "rw", "SN:0000-0000", None, None),
    ],
)
def test_golden_objects(stepim, key, name, data_type, access, default, low, high):
    variable = stepim[key]
    assert (variable.name, variable.data_type, variable.access) == (name, data_type, access)
    assert (variable.default, variable.low, variable.high) == (default, low, high)


def test_names_of_members(stepim):
    assert stepim.name_of(stepim[0x1018, 1]) == "Identity Object.Vendor ID"
    assert stepim.name_of(stepim[0x607D, 2]) == "Software Position Limit.Maximum Software Position Limit"
    assert stepim.name_of(stepim[0x6078, 0]) == "Current Actual Value"


def test_defaults_are_within_their_limits(stepim):
    for variable in stepim.variables():
        if isinstance(variable.default, int):
            span = integer_range(variable.data_type)
            low = span[0] if variable.low is None else variable.low
            high = span[1] if variable.high is None else variable.high
            assert low <= variable.default <= high, variable.text


def test_arrays_say_how_many_members_they_have(stepim):
    mappings = {*range(0x1600, 0x1608), *range(0x1A00, 0x1A08)}
    for found in stepim.objects.values():
        if found.object_type in (ObjectType.ARRAY, ObjectType.RECORD) and found.index not in mappings | {0x1003}:
            assert found.members[0].default == max(found.members), f"{found.index:04X}"
            assert found.members[0].data_type == DataType.UNSIGNED8


def test_an_independent_reader_sees_the_same(stepim):
    """PyPI canopen, another author's EDS reader, agrees on every value."""
    other = canopen.import_od(str(bundled_path("eds") / "stepim.eds"), node_id=FACTORY_NODE_ID)
    assert set(other) == set(stepim.objects)
    compared = 0
    for variable in stepim.variables():
        single = isinstance(other[variable.index], canopen.objectdictionary.ODVariable)
        theirs = other[variable.index] if single else other[variable.index][variable.subindex]
        assert (theirs.name, theirs.data_type, theirs.access_type, theirs.pdo_mappable) == (
            variable.name,
            variable.data_type,
            variable.access,
            variable.pdo_mappable,
        )
        ours = (variable.configured(FACTORY_NODE_ID), variable.low, variable.high)
        assert (theirs.default, theirs.min, theirs.max) == ours, variable.text
        assert (theirs.unit, theirs.factor) == (variable.unit, variable.factor)
        compared += 1
    assert compared == 675
    information = other.device_information
    assert (information.nr_of_RXPDO, information.nr_of_TXPDO, information.LSS_supported) == (8, 8, False)
