"""Under the lab's kernel: candump and our filters are given the same frames and the same filter texts."""

import random
import re
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

from opendiag.adapters.can_filter import EXTENDED, INVERTED, REMOTE, parse_filters
from opendiag.frame import Frame

FILTERS = (
    "0:0 0~0 #FFFFFFFF 0:0,#FFFFFFFF 0~0,#4 #8 123:7FF 123:C00007FF 123:800007FF 00000123:DFFFFFFF 00000123:1FFFFFFF "
    "00000123:9FFFFFFF 00000000:80000000 000:80000000 40000000:40000000 123~7FF 123~C00007FF 20000123:7FF "
    "123:7FF,124:7FF 123~7FF,124~7FF 123~7FF,124~7FF,j 120:7F0,123~7FF,J 120:7F0,123~7FF,J,#4 123:7FF,j,#4 "
    "123:200007FF 123:9FFFFFFF 123:FFFFFFFF 12345:1FFFFFFF 12345678:DFFFFFFF 12345678~DFFFFFFF 7FF:7FF,123:C00007FF"
)
START_S = 20.0
#: candump ends when nothing came for so long.
SILENCE_MS = 3000


def frames():
    """Around the filters' identifiers, and others; error frames of every class."""
    random.seed(7)
    made = []
    for can_id in (0x123, 0x124, 0x120, 0x12F, 0x7FF, 0, 0x345, *(random.randrange(0x800) for _ in range(10))):
        made += [Frame(can_id), Frame(can_id, remote=True), Frame(can_id, extended=True)]
    for can_id in (0x123, 0x12345, 0x12345678, 0x4000123, *(random.randrange(1 << 29) for _ in range(10))):
        made += [Frame(can_id, extended=True), Frame(can_id, extended=True, remote=True)]
    return made + [Frame(1 << bit, bytes(8), error=True) for bit in range(10)]


def raw(frame):
    return frame.can_id | frame.extended * EXTENDED | frame.remote * REMOTE | frame.error * INVERTED


def entries():
    """How many filters sockets have with the kernel."""
    lists = Path("/proc/net/can").glob("rcvlist_*")
    return sum(len(re.findall(r"^\s+vcan0 ", file.read_text(), re.MULTILINE)) for file in lists)


def main():
    texts = FILTERS.split()
    wanted = {text: parse_filters(text) for text in texts}
    expected = sum(len(each.kernel()) + bool(each.error_mask) for each in wanted.values())
    dumps = {
        text: subprocess.Popen(
            ["candump", "-L", "-T", str(SILENCE_MS), f"vcan0,{text}"], stdout=subprocess.PIPE, text=True
        )
        for text in texts
    }
    end = time.monotonic() + START_S
    while entries() < expected:
        if time.monotonic() > end:
            sys.exit(f"the kernel has {entries()} filters, and {expected} were expected")
        time.sleep(0.02)
    with socket.socket(socket.AF_CAN, socket.SOCK_RAW, socket.CAN_RAW) as sender:
        sender.bind(("vcan0",))
        for frame in frames():
            sender.send(struct.pack("<IB3x8s", raw(frame), frame.dlc, frame.data))
            time.sleep(0.005)
    wrong = 0
    for text, dump in dumps.items():
        output = dump.communicate(timeout=START_S)[0]
        seen = [line.split()[2] for line in output.splitlines()]
        ours = [
            f"{frame.id_text}#{'R' if frame.remote else frame.data.hex().upper()}"
            for frame in frames()
            if wanted[text].matches(frame)
        ]
        if seen != ours:
            wrong += 1
            apart = sorted(set(seen) - set(ours)), sorted(set(ours) - set(seen))
            sys.stdout.write(f"{text}: candump alone {apart[0]}, we alone {apart[1]}\n")
    sys.stdout.write(f"{len(texts)} filters, {len(frames())} frames: {f'{wrong} differ' if wrong else 'the same'}\n")
    sys.exit(bool(wrong))


main()
