"""gs_usb adapters behind a fake USB backend each, as the conformance suite and the benchmarks want them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.usb_backend import FakeBackend

from opendiag.adapters.bus import AdapterBus
from opendiag.adapters.gs_usb import GsUsbBus


class GsUsbBench:
    """``extra`` goes to python-can with ``interface`` and ``channel``."""

    kind = "candlelight"
    name = "gs-usb-candlelight"
    fd = False
    listen_only = True
    state = True
    confirms = False
    hardware_time = True
    interface = "opendiag_gs_usb"
    channel = 0

    def __init__(self, model: BusModel, tmp_path: Path, **switches: Any) -> None:
        self.device = GsUsbDevice(model, self.kind, label=self.name, **switches)
        self.backend = FakeBackend([self.device])
        self.extra: dict[str, Any] = {"bitrate": 500_000, "usb_backend": self.backend}

    def open(self, **options: Any) -> AdapterBus:
        return GsUsbBus(self.channel, **{**self.extra, **options})

    def unplug(self) -> None:
        self.backend.unplug(self.device)

    def replug(self) -> None:
        self.backend.replug(self.device)

    def garbage(self, data: bytes) -> None:
        self.device.inject(data)

    def close(self) -> None:
        self.device.unplug()


class CandleLightBench(GsUsbBench):
    pass


class CandleLightFdBench(GsUsbBench):
    kind = "candlelight_fd"
    name = "gs-usb-candlelight-fd"
    fd = True


class CantactProBench(GsUsbBench):
    """Its firmware turns bursts around, which no driver can mend: without that, the order is the driver's doing."""

    kind = "pro"
    name = "gs-usb-cantact-pro"
    fd = True
    state = False
    hardware_time = False
    #: Its firmware loses the mark of remote frames that it receives.
    remote = False

    def __init__(self, model: BusModel, tmp_path: Path, **switches: Any) -> None:
        super().__init__(model, tmp_path, **{"lifo": False, **switches})


class CannectivityBench(GsUsbBench):
    kind = "cannectivity"
    name = "gs-usb-cannectivity"
    fd = True
    confirms = True


BENCHES = (CandleLightBench, CandleLightFdBench, CantactProBench, CannectivityBench)
