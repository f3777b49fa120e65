"""Run by test_gs_usb_lab.py under a kernel with USB/IP: Linux's own driver meets emulated adapters. Prints JSON."""

import json
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from emulators.bus_model import BusModel
from emulators.gs_usb_device import GsUsbDevice
from emulators.usbip_server import Peer, UsbIpServer

SOL_CAN_RAW, CAN_RAW_ERR_FILTER, CAN_RAW_RECV_OWN_MSGS, CAN_RAW_FD_FRAMES = 101, 2, 4, 5
CLASSIC, FLEXIBLE = "=IBBBB8s", "=IBBBB64s"


def run(*command, check=True):
    return subprocess.run(command, check=check, capture_output=True, text=True, timeout=20).stdout


def ip(*arguments):
    return run("ip", *arguments)


def until(what, seconds=10):
    deadline = time.monotonic() + seconds
    while not what():
        if time.monotonic() > deadline:
            raise TimeoutError(what)
        time.sleep(0.02)


def interfaces():
    return sorted(path.name for path in Path("/sys/class/net").glob("can*"))


def attach(busid="1-1"):
    run("usbip", "attach", "-r", "127.0.0.1", "-b", busid)


def details(name):
    return json.loads(ip("-json", "-details", "-statistics", "link", "show", name))[0]


def open_can(name, fd=False):
    can = socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    can.setsockopt(SOL_CAN_RAW, CAN_RAW_ERR_FILTER, struct.pack("=I", 0x1FFFFFFF))
    can.setsockopt(SOL_CAN_RAW, CAN_RAW_RECV_OWN_MSGS, 1)
    if fd:
        can.setsockopt(SOL_CAN_RAW, CAN_RAW_FD_FRAMES, 1)
    can.bind((name,))
    can.settimeout(3)
    return can


def pack(can_id, data, fd=False, flags=0):
    return struct.pack(FLEXIBLE if fd else CLASSIC, can_id, len(data), flags, 0, 0, data)


def received(can, count):
    """[identifier, length, flags, data] of each."""
    found = []
    for _ in range(count):
        raw = can.recv(128)
        can_id, length, flags = struct.unpack_from("=IBB", raw)
        found.append([can_id, length, flags if len(raw) > 16 else None, raw[8 : 8 + length].hex()])
    return sorted(found)


def requests(device):
    return [
        [kind, number, value, data.hex() if isinstance(data, bytes) else data]
        for kind, number, value, _, data in device.log
    ]


def candlelight():
    model = BusModel()
    device = GsUsbDevice(model, "candlelight_fd")
    peer = Peer(model)
    server = UsbIpServer({"1-1": device})
    attach()
    until(lambda: "can0" in interfaces())
    ip("link", "set", "can0", "up", "type", "can", "bitrate", "500000", "dbitrate", "2000000", "fd", "on")
    can = open_can("can0", fd=True)
    report = {"link": details("can0")["linkinfo"]["info_data"]}
    can.send(pack(0x123, b"\x11\x22"))
    can.send(pack(0x321, bytes(range(16)), fd=True, flags=1))
    report["received"] = received(can, 4)
    report["heard"] = [[frame.can_id, frame.fd, frame.brs, frame.data.hex()] for frame in peer.heard]
    report["states"] = [_state(device, *error) for error in ((0x204, 0x08), (0x204, 0x20), (0x40, 0), (0x100, 0))]
    report["restarts"] = details("can0")["linkinfo"]["info_xstats"]["restarts"]
    ip("link", "set", "can0", "down")
    server.unplug("1-1")
    until(lambda: not interfaces())
    server.close()
    return {**report, "requests": requests(device), "complaints": device.complaints}


def _state(device, classes, d1):
    device.error_frame(0, classes, d1)
    time.sleep(0.2)
    return details("can0")["linkinfo"]["info_data"]["state"]


def pro():
    model = BusModel()
    device = GsUsbDevice(model, "pro")
    peer = Peer(model)
    server = UsbIpServer({"1-1": device})
    attach()
    until(lambda: interfaces() == ["can0", "can1"])
    for name in ("can0", "can1"):
        ip("link", "set", name, "up", "type", "can", "bitrate", "500000", "dbitrate", "2000000", "fd", "on")
    first, second = open_can("can0", fd=True), open_can("can1", fd=True)
    report = {"links": [details(name)["linkinfo"]["info_data"] for name in ("can0", "can1")]}
    first.send(pack(0x123, b"\x11\x22\x33\x44\x55\x66\x77\x88"))
    report["first"], report["second"] = received(first, 2), received(second, 2)
    second.send(pack(0x80000000 | 0x1F334455, bytes(range(64)), fd=True, flags=1))
    report["first"] += received(first, 2)
    report["second"] += received(second, 2)
    report["outs"] = [data.hex() for data in device.outs]
    report["heard"] = [[frame.can_id, frame.fd, frame.brs, frame.data.hex()] for frame in peer.heard]
    ip("link", "set", "can0", "down")
    report["second runs"] = device.channels[1].started
    ip("link", "set", "can1", "down")
    run("usbip", "detach", "-p", "0")
    until(lambda: not interfaces())
    server.close()
    return {**report, "requests": requests(device), "complaints": device.complaints}


def cannectivity():
    """Linux 6.12 does not know its identity yet, but its driver can be told."""
    model = BusModel()
    device = GsUsbDevice(model, "cannectivity", idle_endpoints=())
    Peer(model)
    server = UsbIpServer({"1-1": device})
    Path("/sys/bus/usb/drivers/gs_usb/new_id").write_text("1209 ca01")
    attach()
    until(lambda: interfaces() == ["can0", "can1"])
    ip("link", "set", "can0", "up", "type", "can", "bitrate", "250000", "one-shot", "off")
    report = {"link": details("can0")["linkinfo"]["info_data"]}
    can = open_can("can0")
    can.send(pack(0x123, b"nobody has this bit rate"[:8]))
    time.sleep(0.3)
    report["bus_off"] = details("can0")["linkinfo"]["info_xstats"]["bus_off"]
    ip("link", "set", "can0", "down")
    ip("link", "set", "can0", "up", "type", "can", "bitrate", "500000")
    can.close()
    can = open_can("can0")
    can.send(pack(0x123, b"\x11\x22"))
    report["received"] = received(can, 2)
    ip("link", "set", "can0", "down")
    run("usbip", "detach", "-p", "0")
    until(lambda: not interfaces())
    server.close()
    return {**report, "complaints": device.complaints}


if __name__ == "__main__":
    sys.stdout.write(
        json.dumps({"candlelight": candlelight, "pro": pro, "cannectivity": cannectivity}[sys.argv[1]]()) + "\n"
    )
