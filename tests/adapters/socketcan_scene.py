"""Run by test_socketcan_lab.py under a kernel with SocketCAN: each function is a scene, and its name an argument."""

import json
import socket
import struct
import subprocess
import sys
import time
import traceback

import can

import opendiag
from opendiag.adapters import linux_can
from opendiag.adapters.can_filter import INVERTED
from opendiag.adapters.open import interface_notes
from opendiag.adapters.uri import parse_interface
from opendiag.errors import AdapterClosed, AdapterNotFound, SendFailed
from opendiag.frame import Frame
from opendiag.master.clock import RealClock
from opendiag.master.connect import open_port

SOON_S = 5.0


class NotHere(Exception):
    """This kernel cannot do what the scene needs."""


def run(line):
    return subprocess.run(line.split(), check=True, capture_output=True, text=True).stdout


def port(text="socketcan:vcan0"):
    return open_port(parse_interface(text), RealClock())


def reason(error, call, *arguments):
    """The sentence with which it fails."""
    try:
        call(*arguments)
    except error as caught:
        return str(caught)
    raise AssertionError(f"{call} raised no {error.__name__}")


def received(opened, count=1):
    end = time.monotonic() + SOON_S
    frames = []
    while len(frames) < count and time.monotonic() < end:
        frames += opened.receive(time.time() + 0.2)
    return frames


def names():
    """What is not there, and what is down: with the line to type."""
    assert "there is no vcan9: sudo ip link add vcan9 type vcan" in reason(AdapterNotFound, port, "socketcan:vcan9")
    gone = reason(AdapterNotFound, port, "socketcan:can7")
    assert "there is no can7: the CAN interfaces here are vcan0, vcan1, vxcan0, vxcan1" in gone, gone
    assert "is the adapter plugged in? then sudo ip link set can7 up type can bitrate 500000" in gone, gone
    run("ip link set vcan1 down")
    down = reason(AdapterNotFound, port, "socketcan:vcan1")
    assert down == "cannot open socketcan:vcan1: vcan1 is down: sudo ip link set vcan1 up", down
    run("ip link set vcan1 up")
    opened = port("socketcan:vcan1@500k")
    assert opened.notes == ["vcan1 has no bit rate: 500k is not verified; the system sets it"], opened.notes
    opened.close()
    assert interface_notes(parse_interface("socketcan:vcan1")) == []


def down_while_open():
    """The interface goes down under an open port: said once, with the line to type."""
    sending, listening = port(), port()
    run("ip link set vcan0 down")
    said = reason(AdapterClosed, received, listening)
    assert said == "socketcan:vcan0: vcan0 is down: sudo ip link set vcan0 up", said
    said = reason(SendFailed, sending.send, Frame(0x123))
    assert said == "socketcan:vcan0 cannot send: vcan0 is down: sudo ip link set vcan0 up", said
    assert sending.bus_state is None
    run("ip link set vcan0 up")
    with opendiag.connect("socketcan:vcan0") as network, network.frames() as frames:
        run("cansend vcan0 701#05")
        assert frames.get(SOON_S).can_id == 0x701
    for opened in (sending, listening):
        opened.close()
        opened.close()


def vanishing():
    """The interface is removed under an open port."""
    run("ip link add vcan7 type vcan")
    run("ip link set vcan7 up")
    sending, listening = port("socketcan:vcan7"), port("socketcan:vcan7")
    run("ip link delete vcan7")
    began = time.monotonic()
    said = reason(AdapterClosed, received, listening)
    assert said == "socketcan:vcan7: vcan7 was removed", said
    assert time.monotonic() - began < 1.0
    said = reason(AdapterClosed, sending.send, Frame(0x123))
    assert said == "socketcan:vcan7: vcan7 was removed", said
    for opened in (sending, listening):
        assert opened.findings() == []
        opened.close()


def full():
    """Nobody takes the frames off the queue: waited for a little, then said."""
    try:
        run("tc qdisc add dev vcan0 root tbf rate 1kbit burst 32 limit 160")
    except subprocess.CalledProcessError as error:
        raise NotHere(f"this kernel cannot slow a vcan down: {error.stderr.strip()}") from error
    opened = port()
    try:
        said = reason(SendFailed, lambda: [opened.send(Frame(0x100 + number, bytes(8))) for number in range(100)])
        assert "transmit buffer full: vcan0 is slower than what is sent" in said, said
    finally:
        run("tc qdisc del dev vcan0 root")
    opened.send(Frame(0x123))
    opened.close()


def error_frames():
    """What the kernel says about the bus comes through, and keeps its order among the frames."""
    opened = port()
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as sender:
        sender.bind(("vcan0",))
        for can_id, data in ((0x123, b"\1"), (INVERTED | 0x4, b"\0\x20" + bytes(4) + b"\x60\x81"), (0x124, b"")):
            sender.send(struct.pack("<IB3x8s", can_id, len(data), data))
    first, error, last = received(opened, 3)
    assert (first.can_id, last.can_id) == (0x123, 0x124)
    assert error.error and error.can_id == 4 and error.data[6:] == b"\x60\x81", error
    opened.close()


def lost():
    """Frames that nobody took in time are counted."""
    opened = port()
    opened.bus.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as sender:
        sender.bind(("vcan0",))
        for _ in range(1000):
            sender.send(struct.pack("<IB3x8s", 0x123, 8, bytes(8)))
    got = 0
    while frames := opened.receive(time.time() + 0.1):
        got += len(frames)
    opened.close()
    (finding,) = opened.findings()
    assert finding.sentence.startswith(f"{1000 - got} frames came faster than they were taken"), (got, finding)


def kernel():
    """Our own reading of the kernel's answer against that of ip."""
    for link in linux_can.can_links():
        ours = linux_can._details(link.name)
        (its,) = json.loads(run(f"ip -json -details -statistics link show {link.name}"))
        for key in ("ifindex", "ifname", "mtu", "txqlen", "operstate"):
            assert ours[key] == its[key], (link.name, key, ours[key], its[key])
        for way, numbers in its["stats64"].items():
            assert numbers.items() <= ours["stats64"][way].items(), (link.name, numbers, ours["stats64"][way])
        assert ours["linkinfo"]["info_kind"] == its["linkinfo"]["info_kind"]
        assert link.up and link.virtual and link.bit_rate is None and link.bus_state is None
        assert link.tx_queue == its["txqlen"]
    run("ip link set vcan1 down")
    assert not linux_can.can_link("vcan1").up
    run("ip link set vcan1 up")


def own_frames():
    """What this computer sends is not shown to the one who sent it, and to all others as received."""
    here, there = port(), port()
    here.send(Frame(0x321, b"\1"))
    (frame,) = received(there)
    assert (frame.can_id, frame.direction) == (0x321, "rx")
    assert here.receive(time.time() + 0.1) == []
    here.close()
    there.close()


def can_fd():
    """An interface that has CAN FD is opened with it; one without says so, and the line that changes that works."""
    here, there, classic = port(), port(), port("socketcan:vcan0?fd=no")
    here.send(Frame(0x123, bytes(12), fd=True, brs=True))
    here.send(Frame(0x124, b"\1"))
    assert [(frame.can_id, frame.fd, len(frame.data)) for frame in received(there, 2)] == [
        (0x123, True, 12),
        (0x124, False, 1),
    ]
    assert [frame.can_id for frame in received(classic)] == [0x124]
    said = reason(SendFailed, classic.send, Frame(0x123, bytes(12), fd=True))
    assert said.endswith("vcan0 was opened without CAN FD: leave out fd=no"), said
    run("ip link add vcan8 type vcan")
    run("ip link set vcan8 mtu 16")
    run("ip link set vcan8 up")
    small = port("socketcan:vcan8")
    said = reason(SendFailed, small.send, Frame(0x123, bytes(12), fd=True))
    assert "vcan8 has no CAN FD: sudo ip link set vcan8 down; sudo" in said, said
    small.send(Frame(0x123))
    small.close()
    for line in said.partition("no CAN FD: ")[2].split("; "):
        run(line.removeprefix("sudo "))
    wide = port("socketcan:vcan8")
    wide.send(Frame(0x123, bytes(12), fd=True))
    for opened in (here, there, classic, wide):
        opened.close()
    run("ip link delete vcan8")


def lent():
    """A bus that somebody else opened and filters; ENOBUFS is waited for by python-can's own way, too."""
    with can.Bus("vcan0", "socketcan", can_filters=[{"can_id": 0x100, "can_mask": 0x700}]) as bus:
        with opendiag.connect(bus) as network, network.frames() as frames:
            run("cansend vcan0 201#")
            run("cansend vcan0 101#")
            assert frames.get(SOON_S).can_id == 0x101
        bus.send(can.Message(arbitration_id=5, is_extended_id=False))


for name in sys.argv[1:]:
    try:
        globals()[name]()
    except NotHere as why:
        sys.stdout.write(f"{name}: not here: {why}\n")
    except Exception:
        sys.stdout.write(f"{name}: {traceback.format_exc()}\n")
    else:
        sys.stdout.write(f"{name}: as it should be\n")
    sys.stdout.flush()
