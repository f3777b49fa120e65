"""SLCAN adapters on a pseudo terminal each, as the conformance suite and the benchmarks want them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emulators.bus_model import BusModel
from emulators.pty_port import PtyPort
from emulators.slcan_device import SlcanDevice

from opendiag.adapters.bus import AdapterBus
from opendiag.adapters.slcan import SlcanBus


class SlcanBench:
    """``extra`` goes to python-can with ``interface`` and ``channel``."""

    dialect = "lawicel"
    name = "slcan-lawicel"
    fd = False
    listen_only = True
    state = True
    confirms = True
    hardware_time = True
    error_counters = False
    interface = "opendiag_slcan"

    def __init__(self, model: BusModel, tmp_path: Path, **habits: Any) -> None:
        self.device = SlcanDevice(model, self.dialect, name=self.name, **habits)
        self.port = PtyPort(self.device, str(tmp_path / self.name))
        self.channel = self.port.path
        self.extra: dict[str, Any] = {"bitrate": 500_000}

    def open(self, **options: Any) -> AdapterBus:
        return SlcanBus(self.channel, **{"bitrate": 500_000, **options})

    def unplug(self) -> None:
        self.port.unplug()
        self.device.power_cycle()

    def replug(self) -> None:
        self.port.replug()

    def garbage(self, data: bytes) -> None:
        self.device.raw(data)

    def close(self) -> None:
        self.port.close()
        self.device.power_cycle()


class LawicelBench(SlcanBench):
    pass


class Canable2Bench(SlcanBench):
    dialect = "canable2"
    name = "slcan-canable2"
    fd = True
    state = False
    confirms = False
    hardware_time = False


class CantactBench(SlcanBench):
    dialect = "cantact"
    name = "slcan-cantact"
    state = False
    confirms = False
    hardware_time = False


class WeactBench(SlcanBench):
    dialect = "weact"
    name = "slcan-weact"
    fd = True


BENCHES = (LawicelBench, Canable2Bench, CantactBench, WeactBench)
