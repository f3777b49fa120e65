"""Simulated devices by name: what "sim:stepim" and "sim:my-device.eds" stand for."""

from __future__ import annotations

from typing import Any

from opendiag.dictionary.library import load
from opendiag.dictionary.model import ObjectDictionary
from opendiag.errors import BadInterface, DictionaryFileError
from opendiag.frame import Frame
from opendiag.simulate.drive import SimDrive
from opendiag.simulate.node import SimNode
from opendiag.simulate.servo import NAME as SERVO
from opendiag.simulate.servo import servo_dictionary
from opendiag.simulate.stepim import NODE_ID, StepIM

_STEPIM = "stepim"
_STEPIM_IDENTITY = (0x2E1, 0xA5A5)
_DRIVE_PROFILE = 402
_DEFAULT_NODE_ID = 1


def make_device(name: str, node_id: int | None = None, seed: int = 0) -> SimNode:
    """Make a device of the bundled dictionary ``name``, or of the EDS or DCF at this path; "servo": one of no make.

    A dictionary of drive profile 402 becomes a drive with a motor, that of a StepIM a `StepIM`. Without ``node_id``
    it is the one in the DCF, 101 for a StepIM, else 1. ``seed`` decides whatever happens by chance.

    Raises UnknownDictionary when there is neither, DictionaryFileError for a file that is no EDS, and BadInterface
    for a node-ID outside 1..127.
    """
    if not name:
        raise BadInterface(name, "name a device to simulate, such as stepim or the path of an EDS")
    dictionary = servo_dictionary() if name.lower() == SERVO else load(name)
    if not len(dictionary):
        raise DictionaryFileError(name, None, "this EDS has no objects, there is nothing to simulate")
    stepim = name.lower() == _STEPIM or _identity(dictionary) == _STEPIM_IDENTITY
    if node_id is None:
        node_id = dictionary.node_id or (NODE_ID if stepim else _DEFAULT_NODE_ID)
    if not 1 <= node_id <= 127:
        raise BadInterface(name, f"node-ID {node_id} is outside 1..127")
    if stepim:
        return StepIM(node_id, dictionary=dictionary, seed=seed)
    if is_drive(dictionary):
        return SimDrive(dictionary, node_id, seed=seed)
    return SimNode(dictionary, node_id, seed=seed)


def _identity(dictionary: ObjectDictionary) -> tuple[int | None, int | None]:
    return dictionary.device.vendor_id, dictionary.device.product_code


def is_drive(dictionary: ObjectDictionary) -> bool:
    """Whether the dictionary is one of drive profile CiA 402: by its device type, or by its control- and statusword."""
    variable = dictionary.get(0x1000, 0)
    kind = None if variable is None else variable.configured(dictionary.node_id or _DEFAULT_NODE_ID)
    profile = kind & 0xFFFF if isinstance(kind, int) else 0
    words = 0x6040 in dictionary.objects and 0x6041 in dictionary.objects
    return words and profile in (0, _DRIVE_PROFILE)


class Witness:
    """A controller that only acknowledges: a device that is alone on its bus sends nothing but errors."""

    def receive(self, frame: Frame, now: float) -> None:
        """Nothing comes of it."""

    def tick(self, now: float) -> None:
        """Nothing to do."""

    def deadline(self) -> float | None:
        """Never."""
        return None

    def frames_to_send(self) -> list[Frame]:
        """None."""
        return []

    def events(self) -> list[Any]:
        """None."""
        return []
