"""An emulated USB-CAN Analyzer on a pseudo terminal, as the conformance suite and the benchmark use adapters."""

from __future__ import annotations

import fcntl
import struct
from pathlib import Path

from emulators.bus_model import BusModel
from emulators.pty_port import PtyPort
from emulators.usbcan_device import UsbCanDevice

from opendiag.adapters.usbcan import UsbCanBus

_TCGETS2 = 0x802C542A


class UsbCanBench:
    """``baud_matters`` lets the emulator see at which baud rate the host opened the terminal."""

    name = "usbcan"
    interface = "opendiag_usbcan"
    fd = False
    listen_only = True
    state = True
    confirms = False
    hardware_time = False

    def __init__(self, model: BusModel, tmp_path: Path, *, baud_matters: bool = False, **switches: object) -> None:
        self.device = UsbCanDevice(model, **switches)
        self.port = PtyPort(self.device, str(tmp_path / "ttyUSB-analyzer"))
        self.channel = self.port.path
        self.extra: dict[str, object] = {}
        self._buses: list[UsbCanBus] = []
        if baud_matters:
            self.device.host_baud = self.host_baud

    def open(self, **options: object) -> UsbCanBus:
        bus = UsbCanBus(self.channel, **{"bitrate": 500_000, **self.extra, **options})
        self._buses.append(bus)
        return bus

    def host_baud(self) -> int:
        """Of the terminal, as the host set it (Linux)."""
        return int(struct.unpack_from("<I", fcntl.ioctl(self.port._master, _TCGETS2, bytes(44)), 40)[0])

    def unplug(self) -> None:
        self.device.power_off()
        self.port.unplug()

    def replug(self) -> None:
        self.port.replug()
        self.device.power_on()

    def garbage(self, data: bytes) -> None:
        self.device.garbage(data)

    def close(self) -> None:
        for bus in self._buses:
            bus.shutdown()
        self.device.power_off()
        self.port.close()
