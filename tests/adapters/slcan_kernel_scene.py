"""Run by test_slcan_lab.py under a kernel with SocketCAN: the kernel's slcan driver on one emulated adapter, and ours
on another one, on the same emulated bus.
"""

import os
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import can
from emulators.bench_slcan import WeactBench
from emulators.bus_model import BusModel
from emulators.pty_port import PtyPort
from emulators.slcan_device import SlcanDevice

os.environ["PATH"] += ":/usr/sbin:/sbin"


def say(*words):
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


def wait_for(condition, timeout_s=10.0):
    until = time.monotonic() + timeout_s
    while not condition():
        if time.monotonic() > until:
            raise SystemExit("it did not happen in time")
        time.sleep(0.02)


def run(*command):
    subprocess.run(command, check=True)


def frame_of(message):
    return f"{message.arbitration_id:X}#{'R' if message.is_remote_frame else bytes(message.data).hex()}"


def both_ways(kernel, ours):
    """What each side sends, the other one must see."""
    messages = [
        can.Message(arbitration_id=0x123, data=b"\x11\x22\x33", is_extended_id=False),
        can.Message(arbitration_id=0x1F334455, data=bytes(8), is_extended_id=True),
        can.Message(arbitration_id=0x77F, is_remote_frame=True, dlc=3, is_extended_id=False),
    ]
    for source, target, name in ((kernel, ours, "kernel to ours"), (ours, kernel, "ours to kernel")):
        for message in messages:
            source.send(message, timeout=1)
        seen = [target.recv(5) for _ in messages]
        say(name, *(frame_of(message) if message else None for message in seen))


def load(kernel, ours, count=300):
    seen = []
    for number in range(count):
        ours.send(can.Message(arbitration_id=number, data=number.to_bytes(4, "big"), is_extended_id=False))
        while message := kernel.recv(0):  # its socket holds 256 frames
            seen.append(message.arbitration_id)
    while len(seen) < count and (message := kernel.recv(3)):
        seen.append(message.arbitration_id)
    say("in order", len(seen), "of", count, seen == list(range(count)))


def main():
    model = BusModel()
    device = SlcanDevice(model, "lawicel", name="kernel", auto_poll_on=True)
    port = PtyPort(device)
    daemon = subprocess.Popen(["slcand", "-F", "-o", "-s6", port.path, "slcan0"])
    bench = WeactBench(model, Path(tempfile.mkdtemp()))
    try:
        wait_for(lambda: "slcan0" in [name for _, name in socket.if_nameindex()])
        run("ip", "link", "set", "slcan0", "up")
        wait_for(lambda: device.tap.up)
        say("kernel's adapter at", device.tap.bit_rate)
        with can.Bus(interface="socketcan", channel="slcan0") as kernel, bench.open() as ours:
            say("ours is", ours.identity.dialect.name, "and", type(ours).__name__)
            both_ways(kernel, ours)
            load(kernel, ours)
            say("malformed", ours.counters["malformed"], "stray", ours.counters["stray_answers"])
        wait_for(lambda: not bench.device.tap.up)
        say("closed")
    finally:
        daemon.terminate()
        daemon.wait(10)
        bench.close()
        port.close()


if __name__ == "__main__":
    main()
