"""XDD, XDC and XPD files of real devices: all of them are read, and as their EDS is where there is one."""

import xml.etree.ElementTree as ElementTree
from dataclasses import astuple

import pytest

from opendiag.dictionary import load
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.library import Library

pytestmark = pytest.mark.corpus

_SUFFIXES = (".xdd", ".xdc", ".xpd")
#: What else is in the EDS: made by hand, by another tool, or at another time.
_DIFFERENT_TWINS = ("emecdrv5__", "sample__")


@pytest.fixture(scope="module")
def files(corpus):
    found = sorted(path for path in (corpus / "dictionaries").iterdir() if path.suffix in _SUFFIXES)
    assert len(found) >= 14
    return found


def _local(element, name):
    return [each for each in element.iter() if each.tag.rpartition("}")[2] == name]


def test_every_object_and_member_is_there(files):
    for path in files:
        dictionary = load(path)
        expected = {
            int(each.get("index"), 16): [int(sub.get("subIndex"), 16) for sub in _local(each, "CANopenSubObject")]
            for each in _local(ElementTree.parse(path), "CANopenObject")
        }
        assert {index: list(each.members) for index, each in dictionary.objects.items()} == {
            index: subs or [0] for index, subs in expected.items()
        }, path.name


def test_names_types_and_access_are_known(files):
    for path in files:
        for variable in load(path).variables():
            assert variable.data_type in list(DataType), f"{path.name} {variable.text}"
            assert variable.name, f"{path.name} {variable.text}"
            # noAccess, which an editor writes where its EDS said nothing
            assert variable.access or path.name.startswith("sample_node"), f"{path.name} {variable.text}"


def test_defaults_and_descriptions_are_all_read(files):
    """Counted by the elements; a default that is left out has a finding."""
    for path in files:
        dictionary, tree = load(path), ElementTree.parse(path)
        used = {each.get("uniqueIDRef") for each in tree.iter() if each.tag.endswith("Object")}
        parameters = [each for each in _local(tree, "parameter") if each.get("uniqueID") in used]
        told = [each for each in _local(tree, "defaultValue") if each.get("value")]
        told += [each for each in tree.iter() if each.tag.endswith("Object") and each.get("defaultValue")]
        left_out = [f for f in dictionary.findings if f.code in ("xdd-out-of-range", "xdd-bad-value")]
        found = [variable for variable in dictionary.variables() if variable.default is not None]
        nothing = [each for each in told if (each.get("value") or each.get("defaultValue")).upper() == "NULL"]
        assert len(found) == len(told) - len(left_out) - len(nothing), path.name
        described = [each for each in parameters if any(text.text for text in _local(each, "description"))]
        objects = [each for each in dictionary.objects.values() if "Description" in each.extra]
        variables = [each for each in dictionary.variables() if "Description" in each.extra]
        assert len(objects) + len(variables) == len(described), path.name


def test_an_xdd_says_what_its_eds_says(files):
    compared = 0
    for path in files:
        eds = path.with_suffix(".eds")
        if not eds.exists() or path.name.startswith(_DIFFERENT_TWINS):
            continue
        compared += 1
        mine, other = load(path), load(eds)
        extra = mine.objects.keys() - other.objects.keys()
        disabled = [finding.evidence for finding in mine.findings if finding.code == "xdd-disabled"]
        assert [f"CO_disabled: {index:04X}h" for index in extra] == disabled, path.name
        assert not other.objects.keys() - mine.objects.keys(), path.name
        for variable in other.variables():
            assert _facts(mine[variable.index, variable.subindex]) == _facts(variable), f"{path.name} {variable.text}"
        assert mine.device.bit_rates == other.device.bit_rates
        assert mine.dummies == other.dummies
        assert mine.device.product_name == other.device.product_name
        assert mine.device.rpdo_count == other.device.rpdo_count
    assert compared >= 6


def _facts(variable):
    names = ("name", "data_type", "access", "default", "low", "high", "pdo_mappable", "value", "unit", "factor")
    return {name: getattr(variable, name) for name in names}


def test_the_differences_of_the_other_pairs_are_those_of_the_files(corpus):
    """sample.xdd was made from sample.eds by an editor that knows no own types, no factors and no configured values."""
    directory = corpus / "dictionaries"
    name = "sample__canopen-python_canopen"
    mine, other = load(directory / f"{name}.xdd"), load(directory / f"{name}.eds")
    assert not mine.objects.keys() - other.objects.keys()
    differing = {
        variable.index
        for variable in mine.variables()
        if (twin := other.get(variable.index, variable.subindex)) is None or _facts(twin) != _facts(variable)
    }
    assert differing == {0x1017, 0x1018, 0x2020, 0x3002, 0x3003, 0x3004, 0x3006, 0x3010, 0x3050}
    name = "emecdrv5__davidsenoner_emec-drv-canopen-tester"
    mine, other = load(directory / f"{name}.xdd"), load(directory / f"{name}.eds")
    assert mine.objects.keys() == other.objects.keys()
    pairs = [(variable, other[variable.index, variable.subindex]) for variable in mine.variables()]
    differing = {variable.index for variable, twin in pairs if _facts(variable) != _facts(twin)}
    assert differing == {0x1016, 0x1600, 0x1800, 0x1801, 0x1A00, 0x1A01}  # their defaults are in the EDS only


def test_the_configured_device(corpus):
    dictionary = load(corpus / "dictionaries" / "minimal__dborgards_eds-dcf-net.xdc")
    assert astuple(dictionary.commissioning)[:6] == (5, 500, "MinimalDevice", 1, "CANopen Network", False)
    assert (dictionary[0x1000, 0].value, dictionary[0x1000, 0].default) == (0x191, 0)
    assert dictionary[0x1000, 0].configured(5) == 0x191


def test_a_library_of_them(files, tmp_path):
    for path in files:
        if path.suffix == ".xdd":
            (tmp_path / path.name).write_bytes(path.read_bytes())
    library = Library(tmp_path)
    assert library.find(0x120ACE, 0xCA40FEED).device.vendor_name == "iota2"
    assert not library.findings
