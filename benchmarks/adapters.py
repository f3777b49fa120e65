"""Frames received per second, and computing time for each, beside python-can's own drivers for the same adapters.

    python benchmarks/adapters.py [--quick]

Both drivers read the same bytes of the same emulated adapter in turn, as fast as they can, through `bus.recv()`. The
serial adapters run in a process of their own and have their bytes ready, so that the emulator costs the driver
nothing. The USB adapter's transfers are ready in memory; fetching one costs both drivers the same (it is printed).
Computing time is that of the receiving process, all threads and the kernel's part. The ratio compares the best rounds.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from collections import deque
from pathlib import Path
from typing import Any

import can
import usb.backend.libusb1

sys.path.append(str(Path(__file__).parents[1] / "tests"))

from emulators import gs_usb_wire as wire
from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.pty_port import PtyPort
from emulators.slcan_device import SlcanDevice
from emulators.usb_backend import FakeBackend, Handle
from emulators.usbcan_device import UsbCanDevice

from opendiag.frame import Frame

QUICK = "--quick" in sys.argv
ROUNDS = 2 if QUICK else 5
COUNT = 3_000 if QUICK else 10_000
BIT_RATE = 500_000


def frames() -> list[Frame]:
    """As on a CANopen bus: mostly 8 bytes, some fewer."""
    draw = random.Random(1)
    return [Frame(draw.randrange(0x80, 0x780), draw.randbytes(draw.choice((8, 8, 8, 4, 2)))) for _ in range(COUNT)]


# --- adapters on a serial port: the emulator's process


def emulate(kind: str) -> None:
    """Waits for lines on stdin: "prepare" takes the frames from the bus, "go" lets their bytes out."""
    model = BusModel()
    device = UsbCanDevice(model) if kind == "usbcan" else SlcanDevice(model, kind)
    with tempfile.TemporaryDirectory() as directory:
        port = PtyPort(device, str(Path(directory) / "adapter"))
        peer, _ = model.listener(bit_rate=BIT_RATE)
        print(port.path, flush=True)
        for line in sys.stdin:
            if line == "prepare\n":
                pieces: list[bytes] = []
                device.transmit = pieces.append
                for frame in frames():
                    peer.send(frame)
                device.transmit = port.transmit
            elif line == "go\n":
                port.transmit(b"".join(pieces))
            print("done", flush=True)
        port.close()


class SerialAdapter:
    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.process = subprocess.Popen(
            [sys.executable, __file__, "--emulate", kind, *sys.argv[1:]],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.path = self.process.stdout.readline().strip()

    def options(self, who: str) -> dict[str, Any]:
        if who == "opendiag":
            return {"interface": f"opendiag_{'usbcan' if self.kind == 'usbcan' else 'slcan'}", "channel": self.path}
        if self.kind == "usbcan":
            return {"interface": "seeedstudio", "channel": self.path}
        return {"interface": "slcan", "channel": self.path, "sleep_after_open": 0.1}

    def tell(self, command: str) -> None:
        self.process.stdin.write(f"{command}\n")
        self.process.stdin.flush()

    def prepare(self, bus: can.BusABC) -> None:
        self.tell("prepare")
        self.process.stdout.readline()

    def go(self) -> None:
        self.tell("go")

    def ended(self) -> None:
        self.process.stdout.readline()

    def close(self) -> None:
        self.process.stdin.close()
        self.process.wait(10)
        self.process.stdout.close()


# --- an adapter on USB: in this process


class ReadyBackend(FakeBackend):
    """What is ready is handed out with as little ado as Python can; everything else is the emulator's."""

    def __init__(self, devices: list[GsUsbDevice]) -> None:
        super().__init__(devices)
        self.ready: deque[array[int]] = deque()
        self.go: threading.Event | None = None

    def bulk_read(self, dev_handle: Handle, ep: int, intf: int, buff: Any, timeout: int) -> int:
        if self.ready:
            transfer = self.ready.popleft()
            buff[: len(transfer)] = transfer
            return len(transfer)
        if self.go is not None and not self.go.is_set():
            if not self.go.wait(timeout / 1000):
                raise self._timeout()
            return self.bulk_read(dev_handle, ep, intf, buff, timeout)
        return super().bulk_read(dev_handle, ep, intf, buff, timeout)


class UsbAdapter:
    def options(self, who: str) -> dict[str, Any]:
        """Of a new device: python-can's driver does not give it back when it is closed."""
        self.device = GsUsbDevice(BusModel(), "candlelight")
        self.backend = ReadyBackend([self.device])
        if who == "opendiag":
            return {"interface": "opendiag_gs_usb", "channel": 0, "usb_backend": self.backend}
        usb.backend.libusb1.get_backend = lambda *_, **__: self.backend  # where PyPI's gs_usb asks for it
        return {"interface": "gs_usb", "channel": 0, "index": 0}

    def prepare(self, bus: can.BusABC) -> None:
        now = self.device.now_us()
        self._transfers = deque(
            array("B", wire.pack_host_frame(frame, 0) + (now + 120 * place & 0xFFFFFFFF).to_bytes(4, "little"))
            for place, frame in enumerate(frames())
        )
        self.backend.go = threading.Event()
        time.sleep(0.2)  # whoever waits for a transfer now is done with that

    def go(self) -> None:
        self.backend.ready = self._transfers
        self.backend.go.set()

    def ended(self) -> None:
        pass

    def close(self) -> None:
        pass

    def cost(self) -> float:
        """Seconds of one transfer of the emulator alone."""
        self.options("opendiag")
        self.prepare(None)
        self.go()
        buffer, backend, began = array("B", bytes(512)), self.backend, time.process_time()
        for _ in range(COUNT):
            backend.bulk_read(None, 0x81, 0, buffer, 1)
        return (time.process_time() - began) / COUNT


# --- measuring

#: The way of every python-can program, the way opendiag itself takes frames, and python-can's own driver.
RECV, TAKE, PEER = "opendiag recv", "opendiag take", "python-can recv"


def receive(adapter: Any, bus: can.BusABC, who: str) -> tuple[float, float]:
    """Seconds and seconds of computing for each frame."""
    wanted = frames()
    adapter.prepare(bus)
    got: list[Any] = []
    began, cpu = time.perf_counter(), time.process_time()
    adapter.go()
    if who == TAKE:
        while len(got) < COUNT:
            taken = bus.take(5.0)
            if not taken:
                break
            got += taken
    else:
        recv = bus.recv
        while len(got) < COUNT:
            message = recv(5.0)
            if message is None:
                break
            got.append(message)
    took, cpu = time.perf_counter() - began, time.process_time() - cpu
    adapter.ended()
    assert len(got) == COUNT, f"{len(got)} of {COUNT} frames came"
    if who == TAKE:
        seen = [(frame.can_id, frame.data) for frame in got]
    else:
        seen = [(message.arbitration_id, bytes(message.data)) for message in got]
    assert seen == [(frame.can_id, frame.data) for frame in wanted], "not the frames that were sent"
    return took / COUNT, cpu / COUNT


def compare(name: str, adapter: Any) -> None:
    results: dict[str, list[tuple[float, float]]] = {RECV: [], TAKE: [], PEER: []}
    for _ in range(ROUNDS):
        for who, measured in results.items():
            with can.Bus(bitrate=BIT_RATE, **adapter.options("python-can" if who == PEER else "opendiag")) as bus:
                measured.append(receive(adapter, bus, who))
    adapter.close()
    best = {who: tuple(min(part) for part in zip(*rounds, strict=True)) for who, rounds in results.items()}
    for who, rounds in results.items():
        worst = 1 / max(wall for wall, _ in rounds)
        wall, cpu = best[who]
        print(
            f"{name:8} {who:16} {1 / wall:9,.0f} frames/s (worst round {worst:9,.0f}) {cpu * 1e6:6.1f} µs of CPU each"
        )
    their_wall, their_cpu = best[PEER]
    for who in (RECV, TAKE):
        wall, cpu = best[who]
        print(f"{name:8} {who:16} {their_wall / wall:9.1f} x frames/s {their_cpu / cpu:26.1f} x less CPU")


def main() -> None:
    usb_adapter = UsbAdapter()
    print(f"{COUNT} frames a round, {ROUNDS} rounds; python-can {can.__version__}, Python {sys.version.split()[0]}")
    print(f"the emulated USB transfer alone takes {usb_adapter.cost() * 1e6:.1f} µs")
    compare("gs_usb", usb_adapter)
    compare("slcan", SerialAdapter("lawicel"))
    compare("usbcan", SerialAdapter("usbcan"))


if __name__ == "__main__":
    if "--emulate" in sys.argv:
        emulate(sys.argv[sys.argv.index("--emulate") + 1])
    else:
        main()
