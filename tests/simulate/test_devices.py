"""Simulated devices by name."""

import pytest

from opendiag.errors import BadInterface, DictionaryFileError, UnknownDictionary
from opendiag.simulate.devices import make_device
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.node import SimNode
from opendiag.simulate.servo import servo_dictionary
from opendiag.simulate.stepim import StepIM

PLAIN = "[DeviceInfo]\nVendorNumber=1\n[1000]\nParameterName=Device type\nObjectType=7\nDataType=7\n"
PLAIN += "AccessType=ro\nDefaultValue={kind}\n"
WORD = "[{index}]\nParameterName=word\nObjectType=7\nDataType=6\nAccessType=rw\n"


@pytest.fixture
def eds(tmp_path):
    def write(text, name="some.eds"):
        path = tmp_path / name
        path.write_text(text)
        return str(path)

    return write


@pytest.mark.parametrize("name", ["stepim", "StepIM", "stepim.eds"])
def test_stepim_by_name(name):
    device = make_device(name)
    assert type(device) is StepIM and device.node_id == 101 and device.name == "stepim"


def test_a_servo_of_no_make():
    device = make_device("servo", 7)
    assert type(device) is SimDrive and device.node_id == 7 and tuple(device.modes) == (1, 2, 3, 4, 6, 7, 8, 9, 10)


def test_as_many_axes_as_controlwords():
    assert len(SimDrive(servo_dictionary(3), 5).axes) == 3
    with pytest.raises(ValueError, match="9 axes"):
        servo_dictionary(9)
    with pytest.raises(LookupError, match="2000h"):
        servo_dictionary(defaults={(0x2000, 0): 1})


def test_a_node_id_of_ones_own():
    assert make_device("stepim", 5).node_id == 5


def test_the_seed_is_handed_on():
    assert make_device("stepim", seed=1).serial != make_device("stepim", seed=2).serial


def test_a_plain_device(eds):
    device = make_device(eds(PLAIN.format(kind=0x191)))
    assert type(device) is SimNode and device.node_id == 1


def test_a_drive(eds):
    device = make_device(eds(PLAIN.format(kind=0x20192) + WORD.format(index=6040) + WORD.format(index=6041)))
    assert type(device) is SimDrive
    device.tick(0.0)
    device.tick(0.1)
    assert device.store.read(0x6041, 0, 0.1) == b"\x50\x02"
    assert device.store.write(0x6040, 0, b"\x06\x00", 0.1) == 0.0
    assert device.store.read(0x6041, 0, 0.1) == b"\x31\x02"


def test_the_node_id_of_a_dcf(eds):
    text = PLAIN.format(kind=0) + "[DeviceComissioning]\nNodeID=0x21\nBaudrate=500\n"
    assert make_device(eds(text, "some.dcf")).node_id == 0x21
    assert make_device(eds(text, "other.dcf"), 3).node_id == 3


def test_what_is_no_device(eds):
    with pytest.raises(UnknownDictionary, match="stepim"):
        make_device("stepin")
    with pytest.raises(DictionaryFileError):
        make_device(eds("nothing of this kind"))
    with pytest.raises(BadInterface, match="such as stepim"):
        make_device("")
    with pytest.raises(BadInterface, match="node-ID 200"):
        make_device("stepim", 200)
