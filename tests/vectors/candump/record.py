"""Records the *.txt files beside it from a real candump. Linux with vcan0, vxcan0 and vxcan1 up, as root:

TZ=Asia/Tokyo python3 record.py
"""

import json
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path

HERE = Path(__file__).parent
FRAMES = json.loads((HERE / "frames.json").read_text())
SOL_CAN_RAW, FD_FRAMES = 101, 5
EFF, RTR, ERR = 0x8000_0000, 0x4000_0000, 0x2000_0000
BRS, ESI = 1, 2
#: file name -> options
OPTIONS = {
    "none": "",
    "ta": "-t a",
    "tA": "-t A",
    "td": "-t d",
    "tz": "-t z",
    "x": "-x",
    "a": "-a",
    "e": "-e",
    "c": "-c",
    "cc": "-c -c",
    "ccc": "-c -c -c",
    "S": "-S",
    "i": "-i",
    "d": "-d",
    "L": "-L",
    "Lx": "-L -x",
    "S_a": "-S -a",
    "i_S": "-i -S",
    "i_a": "-i -a",
    "extA": "-e -x -t A",
    "tz_x_a": "-t z -x -a",
    "ta_x_a_e_d": "-t a -x -a -e -d",
    "c_ta": "-c -t a",
    "ccc_tz_x_a_e": "-c -c -c -t z -x -a -e",
    "cc_S_td": "-c -c -S -t d",
}


def packed(frame):
    """A struct can_frame or canfd_frame of the kernel."""
    can_id = int(frame["id"], 16)
    if frame.get("error"):
        can_id |= ERR
    elif len(frame["id"]) == 8:
        can_id |= EFF
    data = bytes.fromhex(frame.get("data", ""))
    if frame.get("fd"):
        flags = (BRS if frame.get("brs") else 0) | (ESI if frame.get("esi") else 0)
        return struct.pack("=IBBBB64s", can_id, len(data), flags, 0, 0, data)
    dlc = frame.get("dlc", len(data))
    return struct.pack(
        "=IBBBB8s", can_id | (RTR if frame.get("remote") else 0), min(dlc, 8), 0, 0, dlc if dlc > 8 else 0, data
    )


def opened(channel):
    sender = socket.socket(socket.PF_CAN, socket.SOCK_RAW, socket.CAN_RAW)
    sender.setsockopt(SOL_CAN_RAW, FD_FRAMES, 1)
    sender.bind((channel,))
    return sender


def send(channel, frames):
    sender = opened(channel)
    for place, frame in enumerate(frames):
        sender.send(packed(frame))
        time.sleep(0.002 + 0.003 * (place % 3))  # uneven: differences must decrease somewhere
    sender.close()


def listen(options, channels, count, cwd=None):
    command = ["candump", *options.split(), "-n", str(count), *(f"{name},0:0,#FFFFFFFF" for name in channels)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE, cwd=cwd)
    time.sleep(0.4)
    return program


def finish(program, name):
    output, _ = program.communicate(timeout=20)
    if output:
        (HERE / f"{name}.txt").write_bytes(output)


def record(name, options, sent_on="vcan0", heard_on="vcan0"):
    program = listen(options, [heard_on], len(FRAMES))
    send(sent_on, FRAMES)
    finish(program, name)


def record_log_file(name, options):
    with tempfile.TemporaryDirectory() as directory:
        program = listen(options, ["vcan0"], len(FRAMES), directory)
        send("vcan0", FRAMES)
        program.communicate(timeout=20)
        (log,) = Path(directory).glob("candump-*.log")
        (HERE / f"{name}.txt").write_bytes(log.read_bytes())


def record_two_channels():
    """Names of different length are aligned to the right."""
    program = listen("-t a -x", ["vcan0", "vxcan1"], 8)
    for place in range(4):
        send("vcan0" if place % 2 else "vxcan0", FRAMES[2 * place : 2 * place + 2])
    finish(program, "two_channels")


def record_drops():
    """A small receive buffer and a candump that is held until it has overflowed."""
    with tempfile.TemporaryDirectory() as directory:
        program = listen("-d -r 1 -l -s 0", ["vcan0"], 100_000, directory)
        os.kill(program.pid, signal.SIGSTOP)
        sender = opened("vcan0")
        for place in range(60):
            sender.send(packed({"id": f"{place:08X}", "data": f"{place:02X}"}))
        os.kill(program.pid, signal.SIGCONT)
        time.sleep(0.4)
        sender.send(packed({"id": "123", "data": "AA"}))
        time.sleep(0.4)
        os.kill(program.pid, signal.SIGTERM)
        finish(program, "drops")
        (log,) = Path(directory).glob("candump-*.log")
        (HERE / "drops_log.txt").write_bytes(log.read_bytes())


def main():
    for name, options in OPTIONS.items():
        record(name, options)
    record("x_rx", "-x -t a", "vxcan0", "vxcan1")
    record("any", "", "vcan0", "any")
    record_log_file("l", "-l")
    record_two_channels()
    record_drops()


if __name__ == "__main__":
    main()
