"""opendiag: CANopen master and diagnostics.

The tour, from the bus upwards:

* `opendiag.frame`       one CAN frame
* `opendiag.wire`        bytes <-> meaning of every CiA 301 and CiA 305 service
* `opendiag.dictionary`  what a device says it has: EDS files and the CiA tables
* `opendiag.services`    machines without threads, clocks and I/O: SDO client and server
* `opendiag.cia402`      drives: states, words, modes, error codes
* `opendiag.decode`      frames in, records out, by listening only
* `opendiag.simulate`    a bus and devices in memory
* `opendiag.diagnose`    why there is no answer
* `opendiag.master`      the live side: networks, nodes, threads
* `opendiag.aio`         the live side for asyncio
* `opendiag.logs`        files of frames
* `opendiag.adapters`    ways to a bus
* `opendiag.cli`         the command line

To read a capture::

    for record in opendiag.open_log("field.log", dictionaries={101: "stepim"}):
        print(record.node, record.object_text, record.name, record.value, record.unit)

To read and write a node, here a simulated one::

    with opendiag.connect("sim:stepim") as network:
        motor = network[101]
        print(motor["Statusword"].read())
        motor["Profile Velocity"].write(5000)

To move a drive, which is brought to rest at the end of the block and whatever ends it::

    with opendiag.connect("sim:stepim") as network, network.drive(101) as axis:
        axis.enable()
        axis.home()
        axis.move_to(2.5, unit="rev", velocity=300)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from opendiag.capture import Capture, open_log
    from opendiag.cia402.limits import Limits
    from opendiag.cia402.units import Units
    from opendiag.decode.decoder import Decoder
    from opendiag.decode.records import Record
    from opendiag.dictionary.library import load
    from opendiag.dictionary.model import ObjectDictionary
    from opendiag.errors import OpenDiagError
    from opendiag.frame import Frame
    from opendiag.master.clock import ManualClock
    from opendiag.master.connect import connect
    from opendiag.master.drive import Drive
    from opendiag.master.drive_keeper import GuardSettings
    from opendiag.master.drives import Axes
    from opendiag.master.network import Network
    from opendiag.master.node import Node

__version__ = "0.1.0"

#: Public name -> module. Loaded when first used, so that a small job starts fast.
_PUBLIC = {
    "Axes": "opendiag.master.drives",
    "Capture": "opendiag.capture",
    "Decoder": "opendiag.decode.decoder",
    "Drive": "opendiag.master.drive",
    "Frame": "opendiag.frame",
    "GuardSettings": "opendiag.master.drive_keeper",
    "Limits": "opendiag.cia402.limits",
    "ManualClock": "opendiag.master.clock",
    "Network": "opendiag.master.network",
    "Node": "opendiag.master.node",
    "ObjectDictionary": "opendiag.dictionary.model",
    "OpenDiagError": "opendiag.errors",
    "Record": "opendiag.decode.records",
    "Units": "opendiag.cia402.units",
    "connect": "opendiag.master.connect",
    "load": "opendiag.dictionary.library",
    "open_log": "opendiag.capture",
}

__all__ = [
    "Axes",
    "Capture",
    "Decoder",
    "Drive",
    "Frame",
    "GuardSettings",
    "Limits",
    "ManualClock",
    "Network",
    "Node",
    "ObjectDictionary",
    "OpenDiagError",
    "Record",
    "Units",
    "__version__",
    "connect",
    "load",
    "open_log",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module 'opendiag' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_PUBLIC[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
