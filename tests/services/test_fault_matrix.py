"""Every kind of transfer, with each single frame lost, repeated, delayed, destroyed, swapped or followed by a stray.

What must hold: the right data or the right typed error within the deadline, at both ends; never wrong data, never a
hang; and the next transfer works.

A frame in the middle of a long segmented transfer is like its neighbours. For 10 000 bytes the first and last frames
and the borders of sub-blocks are taken one by one and those between in strides, unless OPENDIAG_FULL_MATRIX is set.
"""

import heapq
import itertools
import os

import pytest

from opendiag.errors import SdoError, SdoRefusal
from opendiag.frame import Frame
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_client import SdoClient
from opendiag.services.sdo_server import SdoServer

CHANNEL = SdoChannel.default(5)
TIMEOUT_S = 0.5
FRAME_S = 0.00013
SIZES = (1, 4, 5, 7, 8, 889, 890, 10_000)
KINDS = ("upload", "download", "block upload", "block download")
OBJECT = (0x2000, 0)
OTHER = (0x2001, 3)
OTHER_DATA = b"\x11\x22\x33\x44"
OLD = b"what was there before"
FAULTS = (
    "drop",
    "duplicate",
    "delay",
    "destroy",
    "reorder",
    "abort to client",
    "abort to server",
    "stale answer",
    "repeat last answer",
)
#: A restart after a time-out at either end, and the longest of all waits behind it.
DEADLINE_S = 6 * TIMEOUT_S


class Store:
    def __init__(self):
        self.objects = {OBJECT: OLD, OTHER: OTHER_DATA}

    def read(self, index, subindex, now):
        if (index, subindex) not in self.objects:
            raise SdoRefusal(0x06020000)
        return self.objects[index, subindex]

    def width(self, index, subindex):
        return None

    def check_write(self, index, subindex, size, now):
        return None

    def write(self, index, subindex, data, now):
        self.objects[index, subindex] = bytes(data)
        return 0.0


class Line:
    """A bus with one client and one server; ``faults`` maps the number of a frame to what happens to it."""

    def __init__(self, fault=None, at=None):
        self.store = Store()
        self.client = SdoClient(CHANNEL, timeout_s=TIMEOUT_S)
        self.server = SdoServer(CHANNEL, self.store, timeout_s=TIMEOUT_S)
        self.now = 0.0
        self.fault, self.at = fault, at
        self.number = 0
        self.fired = False
        self._queue = []
        self._order = itertools.count()
        self._free_at = 0.0
        self._held = None
        self._answers = []

    def run(self, transfer, limit_s=DEADLINE_S):
        """Until it is done; returns how long that took."""
        began = self.now
        while True:
            self._collect()
            if transfer.done:
                return self.now - began
            assert self._step(began + limit_s), f"hangs: {transfer!r}"

    def settle(self):
        """Until nothing moves and no deadline is left."""
        self._collect()
        limit = self.now + 20 * TIMEOUT_S
        while self._step(limit):
            self._collect()
        assert self.client.deadline() is None
        assert self.server.deadline() is None, "the server still waits for something"

    def _step(self, limit):
        moments = [moment for moment in (self.client.deadline(), self.server.deadline()) if moment is not None]
        if self._queue:
            moments.append(self._queue[0][0])
        if self._held is not None:
            moments.append(self._held[0])
        if not moments or min(moments) > limit:
            return False
        self.now = max(self.now, min(moments))
        if self._held is not None and self._held[0] <= self.now:
            _, frame, to_server = self._held
            self._held = None
            self._deliver(frame, to_server)
        while self._queue and self._queue[0][0] <= self.now:
            _, _, frame, to_server = heapq.heappop(self._queue)
            self._deliver(frame, to_server)
            self._collect()
        self.client.tick(self.now)
        self.server.tick(self.now)
        return True

    def _deliver(self, frame, to_server):
        (self.server if to_server else self.client).receive(frame, self.now)

    def _collect(self):
        for frame in self.client.frames_to_send():
            self._send(frame, True)
        for frame in self.server.frames_to_send():
            self._send(frame, False)
        self.client.events()
        self.server.events()

    def _at(self, moment, frame, to_server):
        heapq.heappush(self._queue, (moment, next(self._order), frame, to_server))

    def _send(self, frame, to_server):
        arrival = self._free_at = max(self.now, self._free_at) + FRAME_S
        number, self.number = self.number, self.number + 1
        fault = self.fault if number == self.at else None
        self.fired |= fault is not None
        if self._held is not None and fault is None:  # the neighbour of a frame to be swapped
            _, held, held_to_server = self._held
            self._held = None
            self._at(arrival, frame, to_server)
            self._at(arrival + FRAME_S, held, held_to_server)
            return
        if fault == "reorder":
            self._held = (arrival + 0.01, frame, to_server)
            return
        if fault == "delay":
            self._at(arrival + 1.5 * TIMEOUT_S, frame, to_server)
            return
        if fault == "destroy":
            noise = Frame(0x88, bytes(8), error=True)
            self._at(arrival, noise, True)
            self._at(arrival, noise, False)
            self._at(arrival + FRAME_S, frame, to_server)
            return
        if fault != "drop":
            self._at(arrival, frame, to_server)
        if fault == "duplicate":
            self._at(arrival + FRAME_S, frame, to_server)
        elif fault == "abort to client":
            self._at(arrival + FRAME_S / 2, CHANNEL.response(bytes.fromhex("80 34 12 00 00 00 04 05")), False)
        elif fault == "abort to server":
            self._at(arrival + FRAME_S / 2, CHANNEL.request(bytes.fromhex("80 34 12 00 00 00 04 05")), True)
        elif fault == "stale answer":
            self._at(arrival + FRAME_S / 2, CHANNEL.response(bytes.fromhex("43 01 20 03 de ad be ef")), False)
        elif fault == "repeat last answer" and self._answers:
            self._at(arrival + FRAME_S / 2, self._answers[-1], False)
        if not to_server:
            self._answers.append(frame)


def payload(size):
    return bytes((7 * place + place // 251 + 1) & 0xFF for place in range(size))


def begin(line, kind, data):
    if kind.endswith("upload"):
        line.store.objects[OBJECT] = data
        return line.client.upload(*OBJECT, line.now, block=kind.startswith("block"))
    return line.client.download(*OBJECT, data, line.now, block=kind.startswith("block"))


def count_frames(kind, size):
    line = Line()
    transfer = begin(line, kind, payload(size))
    line.run(transfer)
    assert transfer.error is None
    return line.number


def places(frames):
    if frames <= 600 or os.environ.get("OPENDIAG_FULL_MATRIX"):
        return range(frames)
    chosen = {*range(12), *range(frames - 24, frames), *range(12, frames, 331)}
    if frames < 2000:  # blocks
        chosen.update(place for border in range(127, frames, 128) for place in range(border - 1, border + 4))
    return sorted(place for place in chosen if 0 <= place < frames)


def check(kind, size, fault, at):
    data = payload(size)
    line = Line(fault, at)
    transfer = begin(line, kind, data)
    took = line.run(transfer)
    what = f"{kind} of {size} bytes, {fault} at frame {at}"
    assert line.fired, what
    assert took <= DEADLINE_S, f"{what}: took {took:g} s"
    if transfer.error is not None:
        assert isinstance(transfer.error, SdoError), what
    elif kind.endswith("upload"):
        assert transfer.data == data, what
    line.settle()
    held = line.store.objects[OBJECT]
    if transfer.error is None:
        assert held == data, f"{what}: reported as written"
    else:
        assert held in (data, OLD), what
    follow(line, kind, data, what)
    return transfer.error


def follow(line, kind, data, what):
    """The next transfers work: another object, and the same one in the same way with fewer bytes."""
    other = line.client.upload(*OTHER, line.now)
    line.run(other)
    assert other.error is None and other.data == OTHER_DATA, f"{what}: the next read: {other!r} {other.data!r}"
    data = data[:20]
    again = begin(line, kind, data)
    line.run(again)
    assert again.error is None, f"{what}: the same object once more: {again!r}"
    assert (again.data if kind.endswith("upload") else line.store.objects[OBJECT]) == data, what


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", FAULTS)
def test_one_fault(kind, size, fault):
    errors = [check(kind, size, fault, at) for at in places(count_frames(kind, size))]
    if fault == "destroy":  # CAN itself repeats the frame: nothing is lost, only late
        assert not any(errors), errors


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", ["upload", "block upload"])
def test_a_read_survives_every_lost_frame(kind, size):
    for at in places(count_frames(kind, size)):
        assert check(kind, size, "drop", at) is None, f"frame {at}"


@pytest.mark.parametrize("kind", ["block upload", "block download"])
def test_data_changed_on_the_way_are_found_by_the_crc(kind):
    data = payload(890)
    for at in range(2, 128):
        line = Line()
        original = line._send

        def send(frame, to_server, line=line, original=original, at=at):
            if line.number == at and frame.data[0] & 0x7F in range(1, 128) and to_server == kind.endswith("download"):
                frame = Frame(frame.can_id, frame.data[:4] + bytes([frame.data[4] ^ 0x10]) + frame.data[5:])
            original(frame, to_server)

        line._send = send
        transfer = begin(line, kind, data)
        line.run(transfer)
        if kind.endswith("upload"):
            assert transfer.error is not None or transfer.data == data
        else:
            assert line.store.objects[OBJECT] in (OLD, data)
            assert transfer.error is not None or line.store.objects[OBJECT] == data
