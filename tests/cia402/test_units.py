"""Units of a drive: from its objects, from a file, from the script, and back again."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.cia402.link import DriveLink
from opendiag.cia402.quirks import SERVOTRONIX, STEPIM
from opendiag.cia402.units import KNOWN, STEPIM_UNITS, Scale, Units, units_of
from opendiag.dictionary import builtin
from opendiag.dictionary.datatypes import byte_width
from opendiag.errors import DictionaryFileError, SdoAborted, UnknownTarget
from opendiag.services.plans import SdoRead
from opendiag.simulate.drive_units import DriveUnits, scale_of


def told(objects, **link):
    """What `units_of` makes of a drive that has these objects and no others."""
    plan = units_of(DriveLink(5, **link), link.get("product_code"))
    answer = None
    try:
        while True:
            request = plan.send(answer) if answer is None or isinstance(answer, bytes) else plan.throw(answer)
            assert isinstance(request, SdoRead), "it only reads"
            value = objects.get((request.index, request.subindex))
            if value is None:
                answer = SdoAborted(5, request.index, request.subindex, "read", 0x06020000, "no such object")
            else:
                variable = builtin.get(request.index, request.subindex)
                width = byte_width(variable.data_type) if variable is not None else 4
                answer = value.to_bytes(width, "little")
    except StopIteration as end:
        return end.value


def test_the_stepim_is_known():
    link = DriveLink(101, vendor_id=SERVOTRONIX)
    plan = units_of(link, STEPIM)
    assert next(plan).index == 0x6075
    assert plan.send((3000).to_bytes(4, "little")).index == 0x607E
    with pytest.raises(StopIteration) as end:
        plan.send(b"\x00")
    units = end.value.value
    assert units.to_device("position", 2.5, "rev") == 10240
    assert units.to_device("position", 90, "deg") == 1024
    assert units.to_device("velocity", 300, "rpm") == 30_000
    assert units.to_device("velocity", 1, "rev/s") == 6000
    assert units.to_device("velocity", 4096, "counts/s") == 6000
    assert units.to_device("current", 1.5, "A") == 1500
    assert units.to_device("torque", 50, "%") == 1500
    assert units.from_device("velocity", -100) == -1
    assert "known of the StepIM" in units.source


SI = {
    "turns": ({(0x60A8, 0): 0x00B40000, (0x60A9, 0): 0xFEB44700}, "rev", 1, "rpm", 100),
    "millidegrees": ({(0x60A8, 0): 0xFD410000, (0x60A9, 0): 0x00B44700}, "deg", 1000, "rpm", 1),
    "micrometres": ({(0x60A8, 0): 0xFA010000, (0x60A9, 0): 0xFD010300}, "mm", 1000, "mm/s", 1),
    "increments": (
        {(0x60A8, 0): 0x00B50000, (0x60A9, 0): 0x00B50300, (0x608F, 1): 8000, (0x608F, 2): 1},
        *("rev", 8000, "rev/s", 8000),
    ),
    "gear": (
        {(0x608F, 1): 1000, (0x608F, 2): 1, (0x6091, 1): 10, (0x6091, 2): 1},
        *("rev", 10_000, "rev/s", 10_000),
    ),
    "feed": ({(0x6092, 1): 36_000, (0x6092, 2): 1, (0x608C, 0): 0xA4}, "rev", 36_000, "rpm", 1),
    "spindle": ({(0x60A8, 0): 0xFD010000, (0x6092, 1): 5, (0x6092, 2): 1}, "rev", 5, "mm/s", 1),
    "old indices": ({(0x608C, 0): 0xA4, (0x608B, 0): 0xFF, (0x608F, 1): 500, (0x608F, 2): 1}, "rev", 500, "rpm", 10),
}


@pytest.mark.parametrize(("objects", "unit", "counts", "rate", "per_rate"), SI.values(), ids=SI)
def test_the_drive_tells_its_units(objects, unit, counts, rate, per_rate):
    units = told(objects)
    assert units.counts_per("position", unit) == pytest.approx(counts)
    assert units.counts_per("velocity", rate) == pytest.approx(per_rate)


def test_a_drive_that_tells_nothing_is_moved_in_counts_only():
    units = told({})
    assert units.to_device("position", 77) == 77
    assert units.default("position") == "counts"
    with pytest.raises(UnknownTarget, match="no unit of position for this drive 'rev': expected one of counts, raw"):
        units.to_device("position", 1, "rev")


def test_an_encoder_resolution_of_one_is_no_resolution():
    assert told({(0x608F, 1): 1, (0x608F, 2): 1}).default("position") == "counts"


def test_a_polarity_that_turns_only_the_velocity_is_turned_back():
    objects = {(0x608F, 1): 100, (0x608F, 2): 1}
    assert told({**objects, (0x607E, 0): 0x40}).to_device("velocity", 1, "rev/s") == -100
    assert told({**objects, (0x607E, 0): 0xC0}).to_device("velocity", 1, "rev/s") == 100
    assert told({**objects, (0x607E, 0): 0x80}).to_device("velocity", 1, "rev/s") == -100
    assert told({**objects, (0x607E, 0): 0x80}).to_device("position", 1, "rev") == 100


@given(
    st.fixed_dictionaries(
        {
            (0x608F, 1): st.integers(2, 2**20),
            (0x608F, 2): st.integers(1, 4),
            (0x6091, 1): st.integers(1, 100),
            (0x6091, 2): st.integers(1, 100),
        },
        optional={
            (0x6092, 1): st.integers(1, 10**6),
            (0x6092, 2): st.integers(1, 10),
            (0x60A9, 0): st.sampled_from([0x00B44700, 0xFEB44700, 0x00B40300, 0xFD410300, 0x00100300]),
        },
    )
)
def test_the_simulated_drive_means_the_same(objects):
    """A turn of the shaft behind the gear is gear turns of the motor."""
    if objects[0x608F, 1] / objects[0x608F, 2] <= 1:
        return
    scale = scale_of(lambda index, subindex, default: objects.get((index, subindex), default), DriveUnits())
    gear = objects[0x6091, 1] / objects[0x6091, 2]
    units = told(objects)
    assert units.counts_per("position", "rev") == pytest.approx(scale.position * gear)
    assert units.counts_per("velocity", "rev/s") == pytest.approx(scale.velocity * gear)


@pytest.mark.parametrize("quantity", KNOWN)
@given(st.floats(-1e4, 1e4))
def test_there_and_back(quantity, value):
    for unit in STEPIM_UNITS.available(quantity):
        counts = STEPIM_UNITS.to_device(quantity, value, unit)
        back = STEPIM_UNITS.from_device(quantity, counts, unit)
        assert abs(back - value) <= 0.5000001 / abs(STEPIM_UNITS.counts_per(quantity, unit))


@pytest.mark.parametrize("value", [math.nan, math.inf, True])
def test_what_is_no_number_is_refused(value):
    with pytest.raises(ValueError, match="is no finite number"):
        STEPIM_UNITS.to_device("position", value)


@pytest.mark.parametrize("text", ["", "rev", "2,5 rev", "2 5 rev", "nan rev", "0x10"])
def test_text_without_a_number_is_refused(text):
    with pytest.raises((ValueError, UnknownTarget)):
        STEPIM_UNITS.counts("position", text)


def test_text_names_its_unit():
    assert Units.parse(" -2.5e1rev ") == (-25, "rev")
    assert STEPIM_UNITS.counts("position", "-90deg") == -1024
    assert STEPIM_UNITS.counts("position", "3", "rev") == 3 * 4096


def test_misspelt_units_are_refused():
    with pytest.raises(UnknownTarget, match=r"no unit of velocity 'RPM'.*rpm, rev/s"):
        STEPIM_UNITS.to_device("velocity", 1, "RPM")


def test_a_units_file(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("position: {mm: 1000}\nvelocity: {rpm: 10}\nmm_per_rev: 5\ndefaults: {velocity: mm/s}\n")
    units = Units.of(path, node_id=7)
    assert units.to_device("position", 1, "rev") == 5000
    assert units.to_device("velocity", 5) == 600
    assert units.default("position") == "mm"
    assert units.source == str(path)
    assert units.node_id == 7


@pytest.mark.parametrize(
    "text",
    ["", "- 1", "position: 4096", "position: {turns: 1}", "position: {rev: 0}", "speed: {rpm: 1}", "mm_per_rev: -1",
     "position: {rev: yes}", "defaults: {position: rpm}", "position: [", "position: {raw: 2}", "rated_ma: .inf"],
)  # fmt: skip
def test_a_units_file_that_cannot_be_used(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_text(text)
    with pytest.raises(DictionaryFileError, match="no units can be taken from it"):
        Units.load(path)


def test_a_units_file_that_is_not_there(tmp_path):
    with pytest.raises(DictionaryFileError, match="No such file"):
        Units.load(tmp_path / "none.yaml")


def test_what_a_script_gives_is_checked():
    assert Units.of({"position": {"rev": -4096}}).to_device("position", 1, "rev") == -4096
    with pytest.raises(ValueError, match="no unit 'turn' of position"):
        Units.of({"position": {"turn": 1}})
    assert Units.of(Units(Scale(10, "mm")), 9).node_id == 9
