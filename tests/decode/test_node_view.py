"""What is known of a node: values that the traffic showed, what a reset leaves of them, and who names an object."""

import pytest
from devices import dictionary, u32

from opendiag.decode.node_view import NodeView
from opendiag.dictionary.datatypes import DataType
from opendiag.dictionary.library import load
from opendiag.dictionary.model import NodeIdPlus

COB_ID = (0x1800, 1)
MAPPING = (0x1A00, 1)


def node(entries=None):
    return NodeView(5, dictionary(entries) if entries is not None else None)


def test_traffic_comes_before_the_dictionary():
    view = node({COB_ID: NodeIdPlus(0x180), MAPPING: 7})
    assert view.number(*COB_ID) == view.configured(*COB_ID) == 0x185
    assert view.seen(*COB_ID) is None
    view.learn(*COB_ID, u32(0x2AA), written=True)
    assert view.number(*COB_ID) == view.seen(*COB_ID) == 0x2AA
    assert view.configured(*COB_ID) == 0x185
    assert view.number(*MAPPING) == 7


def test_the_value_of_a_dcf_comes_before_the_default():
    view = node({COB_ID: {"default": 1, "value": 2}})
    assert view.configured(*COB_ID) == 2


def test_nothing_is_made_up():
    view = node({(0x1008, 0): {"data_type": DataType.VISIBLE_STRING, "default": "name"}, (0x1001, 0): None})
    for key in ((0x1008, 0), (0x1001, 0), (0x1234, 0)):
        assert view.number(*key) is None
    assert NodeView(5).number(*COB_ID) is None and NodeView(5).origin is None
    assert view.origin == "eds:made"


def test_long_data_configure_nothing():
    view = node()
    view.learn(0x1F50, 1, bytes(9), written=True)
    view.learn(0x1F50, 2, bytes(8), written=True)
    assert view.seen(0x1F50, 1) is None and view.seen(0x1F50, 2) == 0


def test_indices_that_configure_connections():
    view = node({COB_ID: 1})
    view.learn(0x1017, 0, b"\1\0", written=False)
    view.learn(0x1A00, 0, b"\0", written=False)
    assert view.configuring_indices() == [0x1800, 0x1A00]


# --- reset ---------------------------------------------------------------------------------------------------------


def test_a_reset_forgets_what_was_only_written():
    view = node({COB_ID: NodeIdPlus(0x180)})
    view.learn(*COB_ID, u32(0x2AA), written=True)
    view.reset()
    assert view.seen(*COB_ID) is None and view.number(*COB_ID) == 0x185


def test_a_reset_keeps_what_was_read():
    """What a device answered before anybody wrote to it is what it had stored."""
    view = node()
    view.learn(*COB_ID, u32(0x2AA), written=False)
    view.reset()
    assert view.seen(*COB_ID) == 0x2AA


def test_reading_back_what_was_written_does_not_make_it_stored():
    view = node()
    view.learn(*COB_ID, u32(0x111), written=False)
    view.learn(*COB_ID, u32(0x2AA), written=True)
    view.learn(*COB_ID, u32(0x2AA), written=False)
    assert view.seen(*COB_ID) == 0x2AA
    view.reset()
    assert view.seen(*COB_ID) == 0x111


@pytest.mark.parametrize("subindex", [1, 2])
def test_save_keeps_what_was_written(subindex):
    view = node()
    view.learn(*COB_ID, u32(0x2AA), written=True)
    view.learn(0x1010, subindex, b"save", written=True)
    view.learn(*MAPPING, u32(7), written=True)
    view.reset()
    assert view.seen(*COB_ID) == 0x2AA and view.seen(*MAPPING) is None
    view.reset()
    assert view.seen(*COB_ID) == 0x2AA


def test_loading_defaults_does_not_change_what_the_device_is():
    """An I/O module stays one: nobody may take its objects for those of a drive after the reset."""
    view = node()
    view.learn(0x1000, 0, u32(0x191), written=False)
    view.learn(0x1018, 1, u32(0x2E1), written=False)
    view.learn(0x1011, 1, b"load", written=True)
    view.reset()
    assert (view.profile, view.may_be_drive, view.vendor_id) == (401, False, 0x2E1)
    assert view.describe(0x6040, 0).variable is None


def test_saving_the_application_parameters_does_not_save_the_communication_parameters():
    view = node()
    for key in (COB_ID, (0x607C, 0)):
        view.learn(*key, u32(9), written=True)
    view.learn(0x1010, 3, b"save", written=True)
    view.reset()
    assert view.seen(*COB_ID) is None and view.seen(0x607C, 0) == 9


@pytest.mark.parametrize("raw", [b"evas", b"sav", u32(1)])
def test_only_the_signature_saves(raw):
    view = node()
    view.learn(*COB_ID, u32(0x2AA), written=True)
    view.learn(0x1010, 1, raw, written=True)
    view.learn(0x1010, 1, b"save", written=False)
    view.reset()
    assert view.seen(*COB_ID) is None


@pytest.mark.parametrize("subindex", [1, 2])
def test_load_takes_effect_at_the_reset(subindex):
    view = node({COB_ID: NodeIdPlus(0x180)})
    view.learn(*COB_ID, u32(0x2AA), written=True)
    view.learn(0x1010, 1, b"save", written=True)
    view.learn(0x1011, subindex, b"load", written=True)
    assert view.seen(*COB_ID) == 0x2AA, "until then nothing changes"
    view.reset()
    assert view.seen(*COB_ID) is None and view.number(*COB_ID) == 0x185


def test_loading_the_application_parameters_leaves_the_communication_parameters():
    view = node()
    for key in (COB_ID, (0x607C, 0), (0x2001, 0)):
        view.learn(*key, u32(9), written=True)
    view.learn(0x1010, 1, b"save", written=True)
    view.learn(0x1011, 3, b"load", written=True)
    view.reset()
    assert view.seen(*COB_ID) == 9 and view.seen(0x607C, 0) is None


def test_loading_the_communication_parameters_leaves_the_application_parameters():
    view = node()
    for key in (COB_ID, (0x607C, 0), (0x2001, 0)):
        view.learn(*key, u32(9), written=True)
    view.learn(0x1010, 1, b"save", written=True)
    view.learn(0x1011, 2, b"load", written=True)
    view.reset()
    assert view.seen(*COB_ID) is None and view.seen(0x607C, 0) == 9


def test_a_reset_forgets_what_a_pdo_showed():
    view = node()
    view.observe(0x6061, 0, b"\x08")
    assert view.mode() == 8
    view.reset()
    assert view.mode() is None


# --- what kind of device -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("device_type", "profile", "may_be_drive"),
    [
        (None, None, True),
        (0x0002_0192, 402, True),
        (0x0000_0191, 401, False),
        (0xFFFF_FFFF, 0xFFFF, True),
        (0x0000_0000, 0, False),
    ],
)
def test_profile(device_type, profile, may_be_drive):
    view = node({} if device_type is None else {(0x1000, 0): device_type})
    assert (view.profile, view.may_be_drive) == (profile, may_be_drive)


def test_vendor_of_the_traffic_of_the_object_and_of_the_file():
    view = NodeView(5, dictionary({}, vendor_id=0x2E1))
    assert view.vendor_id == 0x2E1
    view.use(dictionary({(0x1018, 1): 0x2E2}, vendor_id=0x2E1))
    assert view.vendor_id == 0x2E2
    view.learn(0x1018, 1, u32(0x2E3), written=False)
    assert view.vendor_id == 0x2E3
    assert NodeView(5).vendor_id is None


def test_mode_of_operation_display_before_the_one_asked_for():
    view = node()
    assert view.mode() is None
    view.learn(0x6060, 0, b"\x01", written=True)
    assert view.mode() == 1
    view.learn(0x6061, 0, b"\xfd", written=False)
    assert view.mode() == -3
    view.learn(0x6861, 0, b"\x06", written=False)
    assert (view.mode(), view.mode(axis=1)) == (-3, 6)


# --- names ---------------------------------------------------------------------------------------------------------


def test_the_dictionary_names_first():
    view = NodeView(101, load("stepim"))
    described = view.describe(0x6064, 0)
    assert (described.name, described.names_from) == ("Position Actual Internal Value", "eds:stepim")
    assert view.describe(0x1018, 1).name == "Identity Object.Vendor ID"


def test_the_standards_name_what_the_dictionary_lacks():
    view = NodeView(101, dictionary({}))
    assert view.describe(0x6041, 0).names_from == "cia402"
    assert view.describe(0x1000, 0).names_from == "cia301"
    missing = view.describe(0x2000, 0)
    assert (missing.variable, missing.name, missing.names_from) == (None, None, None)


def test_the_standards_bits_complete_a_dictionary_without_them():
    described = NodeView(101, load("stepim")).describe(0x6041, 0)
    assert described.names_from == "eds:stepim" and described.variable.bits[3] == "fault"


def test_the_standards_bits_do_not_describe_an_object_of_another_type():
    view = node({(0x6041, 0): {"data_type": DataType.UNSIGNED32}})
    assert not view.describe(0x6041, 0).variable.bits


def test_the_dictionarys_own_unit_stays():
    view = node({(0x606C, 0): {"data_type": DataType.INTEGER32, "unit": "rpm", "factor": 0.01}})
    described = view.describe(0x606C, 0).variable
    assert (described.unit, described.factor) == ("rpm", 0.01)


def test_a_device_of_another_profile_has_no_drive_objects():
    view = node({(0x6041, 0): {"name": "Something else"}})
    view.learn(0x1000, 0, u32(0x191), written=False)
    assert view.describe(0x6040, 0).variable is None
    assert view.describe(0x6041, 0).name == "Something else"
    assert view.describe(0x1001, 0).names_from == "cia301"


def test_names_change_when_the_profile_becomes_known():
    view = node()
    assert view.describe(0x6040, 0).names_from == "cia402"
    view.learn(0x1000, 0, u32(0x191), written=False)
    assert view.describe(0x6040, 0).variable is None


def test_names_change_with_the_dictionary():
    view = node()
    assert view.describe(0x2000, 0).name is None
    view.use(dictionary({(0x2000, 0): {"name": "Mine"}}))
    assert (view.describe(0x2000, 0).name, view.describe(0x2000, 0).names_from) == ("Mine", "eds:made")


def test_learning_tells_whether_it_is_news():
    view = NodeView(5)
    assert view.learn(0x1017, 0, b"\1\0", written=True)
    assert not view.learn(0x1017, 0, b"\1\0", written=False)
    assert view.learn(0x1017, 0, b"\2\0", written=False)


def test_after_a_reset_nothing_is_unchanged():
    view = NodeView(5)
    assert [view.repeats("x", b"1"), view.repeats("x", b"1")] == [False, True]
    view.reset()
    assert not view.repeats("x", b"1")
