"""Run by test_gs_usb_lab.py under a kernel with USB/IP: our driver meets an emulated adapter through real libusb."""

import json
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))

import can
from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.gs_usb_load import FullLoad
from emulators.usbip_server import Peer, UsbIpServer
from gs_usb_kernel_scene import attach, interfaces, requests, run, until

from opendiag.adapters.bus import Unplugged
from opendiag.adapters.gs_usb import GsUsbBus
from opendiag.adapters.gs_usb_find import find_devices
from opendiag.frame import Frame

FD = {"bitrate": 500_000, "data_bitrate": 2_000_000, "detach_kernel_driver": True}


def message(can_id, data, **flags):
    return can.Message(arbitration_id=can_id, data=data, is_extended_id=can_id > 0x7FF, **flags)


def received(bus, count):
    found = []
    for _ in range(count):
        got = bus.recv(3)
        if got is None:
            break
        found.append([got.arbitration_id, got.is_fd, got.bitrate_switch, bytes(got.data).hex()])
    return sorted(found)


def failure(action, seconds=5):
    """What it raised, and after how long."""
    start = time.monotonic()
    while time.monotonic() - start < seconds:
        try:
            action()
        except can.CanError as error:
            return [type(error).__name__, time.monotonic() - start, str(error)]
    return ["nothing", seconds, ""]


def seen(info):
    return [info.kind, info.serial, info.channels, info.clock_hz, info.kernel_driver, list(info.kernel_interfaces)]


def pro():
    """Both channels with FD, then the plug is pulled while both wait."""
    model = BusModel()
    device = GsUsbDevice(model, "pro")
    peer = Peer(model)
    server = UsbIpServer({"1-1": device})
    attach()
    until(lambda: interfaces() == ["can0", "can1"])
    report = {"found": [seen(info) for info in find_devices()]}
    try:
        GsUsbBus(0)
    except can.CanInitializationError as error:
        report["without detaching"] = str(error)
    first, second = GsUsbBus("0/0", **FD), GsUsbBus("0/1", **FD)
    report["interfaces while open"] = interfaces()
    first.send(message(0x123, b"\x11\x22"))
    report["first"], report["second"] = received(first, 1), received(second, 2)
    second.send(message(0x1F334455, bytes(range(64)), is_fd=True, bitrate_switch=True))
    report["first"] += received(first, 2)
    report["second"] += received(second, 1)
    report["heard"] = [[frame.can_id, frame.fd, frame.brs, frame.data.hex()] for frame in peer.heard]
    report["outs"] = [len(data) for data in device.outs]
    second.shutdown()
    report["first runs"] = [channel.started for channel in device.channels]
    peer.tap.send(peer.heard[0])
    report["after closing one"] = received(first, 1)
    second = GsUsbBus("0/1", **FD)
    report["reader"] = _pulled(first, second)
    report["send"] = failure(lambda: first.send(message(1, b"")))
    for bus in (first, second):
        bus.shutdown()
    until(lambda: not interfaces())
    server.close()
    return {**report, "requests": requests(device), "complaints": device.complaints}


def _pulled(first, second):
    """Both wait for a frame, one in another thread."""
    found = []
    waiting = threading.Thread(target=lambda: found.append(failure(lambda: second.recv(10))))
    waiting.start()
    time.sleep(0.3)
    start = time.monotonic()
    run("usbip", "detach", "-p", "0")
    found.append(failure(lambda: first.recv(10)))
    found[-1][1] = time.monotonic() - start
    waiting.join(5)
    for one in found:
        one.append(one[0] == Unplugged.__name__)
    return found


def given_back():
    """Linux's driver has the adapter again after a shutdown; and it is used once more, by a name with its place."""
    model = BusModel()
    device = GsUsbDevice(model, "candlelight_fd")
    Peer(model)
    server = UsbIpServer({"1-1": device})
    attach()
    until(lambda: interfaces() == ["can0"])
    place = find_devices()[0].path
    report = {"answers": []}
    for _ in range(2):
        bus = GsUsbBus(f"/{place}", **FD, receive_own_messages=True)
        bus.send(message(0x123, bytes(12), is_fd=True))
        report["answers"].append(received(bus, 2))
        report["gap_s"] = abs(time.time() - bus_time(bus))
        bus.shutdown()
        until(lambda: interfaces() == ["can0"])
    report["driver"] = find_devices()[0].kernel_driver
    run("usbip", "detach", "-p", "0")
    until(lambda: not interfaces())
    server.close()
    return {**report, "requests": requests(device), "complaints": device.complaints}


def bus_time(bus):
    """When a frame came, by the adapter's own clock."""
    bus.send(message(0x200, b""))
    times = [bus.recv(3).timestamp for _ in range(2)]
    return times[-1]


def load():
    """As much as libusb and this kernel bear: nothing that the adapter delivered is lost."""
    model = BusModel()
    device = GsUsbDevice(model, "pro", lifo=False)
    server = UsbIpServer({"1-1": device})
    attach()
    until(lambda: interfaces() == ["can0", "can1"])
    buses = [GsUsbBus(f"0/{number}", bitrate=1_000_000, detach_kernel_driver=True) for number in (0, 1)]
    traffic = FullLoad(device, 1.0, rate=1500)
    traffic.start()
    counts = [0, 0]
    quiet = time.monotonic()
    while time.monotonic() - quiet < 1.0:
        for number, bus in enumerate(buses):
            frames = bus.take(0.01)
            counts[number] += len(frames)
            if frames:
                quiet = time.monotonic()
    report = {"offered": traffic.offered, "dropped": traffic.dropped, "delivered": traffic.delivered, "counts": counts}
    for bus in buses:
        bus.shutdown()
    run("usbip", "detach", "-p", "0")
    server.close()
    return report


_PIPES = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
_PROGRAM = """
import sys, time
from opendiag.adapters.gs_usb import GsUsbBus
from opendiag.frame import Frame
bus = GsUsbBus(0, detach_kernel_driver=True)
print("open", flush=True)
if sys.argv[1] == "sends":
    while True:
        bus.send_frame(Frame(1), 1.0)
until = time.monotonic() + 0.3
while time.monotonic() < until:
    bus.take(0.1)
""".replace("import sys, time\n", "import sys, time\nfrom opendiag.frame import Frame\n")


def ends():
    """Programs that end without closing their bus, by themselves and by Ctrl-C, while frames come: their exit codes."""
    model = BusModel()
    device = GsUsbDevice(model, "candlelight")
    peer = Peer(model)
    server = UsbIpServer({"1-1": device})
    attach()
    until(lambda: interfaces() == ["can0"])
    done = threading.Event()

    def traffic():
        while not done.wait(0.002):
            peer.tap.send(Frame(0x77, bytes(8)))

    threading.Thread(target=traffic, daemon=True).start()
    report = {"codes": [], "errors": [], "interfaces": []}
    for way in ["ends"] * 3 + ["sends"] * 2:
        with subprocess.Popen([sys.executable, "-c", _PROGRAM, way], **_PIPES) as program:
            program.stdout.readline()
            if way == "sends":
                time.sleep(0.3)
                program.send_signal(signal.SIGINT)
            errors = program.communicate(timeout=10)[1]
        report["codes"].append(program.returncode)
        report["errors"].append(errors.splitlines()[-1:])
        until(lambda: interfaces() == ["can0"])
    done.set()
    run("usbip", "detach", "-p", "0")
    server.close()
    return report


if __name__ == "__main__":
    scenes = {"pro": pro, "given_back": given_back, "load": load, "ends": ends}
    sys.stdout.write(json.dumps(scenes[sys.argv[1]]()) + "\n")
