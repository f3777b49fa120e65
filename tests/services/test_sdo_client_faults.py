"""The SDO client against a small server on a wire that loses, repeats, delays and swaps frames.

The server here is as plain as one can be written and knows nothing of the package. Whatever happens to a frame, the
outcome is the right data or a typed error, in time, and the next transfer works.
"""

import binascii
import heapq
import io
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opendiag.errors import SdoAborted, SdoError, SdoProtocolError, SdoTimeout
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_client import LateAnswer, SdoClient

CHANNEL = SdoChannel.default(0x65)
TIMEOUT_S = 0.5
FRAME_S = 0.000_13
SERVER_S = 0.000_3
UNKNOWN_COMMAND = 0x0504_0001
BAD_TOGGLE = 0x0503_0000
BAD_SEQUENCE = 0x0504_0003
BAD_CRC = 0x0504_0004
NO_OBJECT = 0x0602_0000


@dataclass
class Server:
    """Bytes in, list of bytes out. ``restarts``: a new initiate ends the transfer before without an abort."""

    values: dict
    sized: bool = True
    crc: bool = True
    blocks: bool = True
    restarts: bool = False
    block_size: int = 5
    writes: list = field(default_factory=list)
    state: str = ""

    def abort(self, code):
        self.state = ""
        return [bytes([0x80]) + self.mux + code.to_bytes(4, "little")]

    def answer(self, command, tail=b""):
        return [(bytes([command]) + self.mux + tail).ljust(8, b"\0")]

    mux = bytes(3)

    def handle(self, data):
        command = data[0]
        if self.state == "block in":
            return self.block_in(data)
        if command == 0x80:
            self.state = ""
            return []
        if command in (0x40, 0xA4) or command & 0xE0 == 0x20 or command & 0xF9 == 0xC0:
            if self.state and not self.restarts:
                return self.abort(UNKNOWN_COMMAND)
            self.mux = data[1:4]
            return self.begin(command, data)
        step = {"up": self.up, "down": self.down, "block out": self.block_out, "block end": self.block_end}
        return step[self.state](data) if self.state in step else self.abort(UNKNOWN_COMMAND)

    def begin(self, command, data):
        self.toggle = 0
        if command == 0x40 or command == 0xA4:
            if self.mux not in self.values:
                return self.abort(NO_OBJECT)
            self.data, self.at = self.values[self.mux], 0
            return self.begin_block_out(data) if command == 0xA4 else self.begin_up()
        self.data = b""
        if command & 0xF9 == 0xC0:
            if not self.blocks:
                return self.abort(UNKNOWN_COMMAND)
            self.state, self.count, self.over = "block in", 0, b""
            return self.answer(0xA4 if self.crc else 0xA0, bytes([self.block_size]))
        if command & 2:
            self.store(data[4 : 8 - (command >> 2 & 3)])
            return self.answer(0x60)
        self.state = "down"
        return self.answer(0x60)

    def store(self, data):
        self.state = ""
        self.values[self.mux] = data
        self.writes.append((self.mux, data))

    def begin_up(self):
        if 1 <= len(self.data) <= 4:
            return self.answer(0x43 | 4 - len(self.data) << 2, self.data)
        self.state = "up"
        return self.answer(0x41, len(self.data).to_bytes(4, "little")) if self.sized else self.answer(0x40)

    def up(self, data):
        if data[0] not in (0x60, 0x70):
            return self.abort(UNKNOWN_COMMAND)
        if data[0] >> 4 & 1 != self.toggle:
            return self.abort(BAD_TOGGLE)
        piece, self.data = self.data[:7], self.data[7:]
        head = self.toggle << 4 | 7 - len(piece) << 1 | (not self.data)
        self.toggle ^= 1
        if not self.data:
            self.state = ""
        return [bytes([head]) + piece.ljust(7, b"\0")]

    def down(self, data):
        if data[0] & 0xE0:
            return self.abort(UNKNOWN_COMMAND)
        if data[0] >> 4 & 1 != self.toggle:
            return self.abort(BAD_TOGGLE)
        self.data += data[1 : 8 - (data[0] >> 1 & 7)]
        self.toggle ^= 1
        if data[0] & 1:
            self.store(self.data)
        return [bytes([0x30 - 0x10 * self.toggle]) + bytes(7)]

    def begin_block_out(self, data):
        if not self.blocks:
            return self.abort(UNKNOWN_COMMAND)
        self.state, self.size = "block out", data[4]
        self.sent = -1
        return self.answer(0xC6 if self.crc else 0xC0, len(self.data).to_bytes(4, "little") if self.crc else b"")

    def block_out(self, data):
        if data[0] == 0xA3 and self.sent < 0:
            return self.sub_block()
        if data[0] != 0xA2 or self.sent < 0:
            return self.abort(UNKNOWN_COMMAND)
        if data[1] > self.sent:
            return self.abort(BAD_SEQUENCE)
        self.at += 7 * data[1]
        self.size = data[2]
        if self.at >= max(len(self.data), 1):
            self.state = "block end"
            crc = binascii.crc_hqx(self.data, 0) if self.crc else 0
            return [bytes([0xC1 | (self.at - len(self.data)) << 2, crc & 0xFF, crc >> 8]) + bytes(5)]
        return self.sub_block()

    def sub_block(self):
        pieces = [self.data[at : at + 7] for at in range(self.at, max(len(self.data), 1), 7)]
        last = len(pieces) <= self.size
        pieces = pieces[: self.size]
        self.sent = len(pieces)
        return [
            bytes([(last and i == len(pieces)) << 7 | i]) + piece.ljust(7, b"\0") for i, piece in enumerate(pieces, 1)
        ]

    def block_end(self, data):
        if data[0] != 0xA1:
            return self.abort(UNKNOWN_COMMAND)
        self.state = ""
        return []

    def block_in(self, data):
        if data[0] == 0x80:
            self.state = ""
            return []
        if self.over:
            return [] if data == self.over else self.end_block_in(data)
        number = data[0] & 0x7F
        if number == self.count + 1:
            self.count, self.data = number, self.data + data[1:]
        if not (data[0] & 0x80 or number == self.block_size):
            return []
        if data[0] & 0x80 and number == self.count:
            self.over = data
        answer, self.count = bytes([0xA2, self.count, self.block_size]) + bytes(5), 0
        return [answer]

    def end_block_in(self, data):
        if data[0] & 0xE3 != 0xC1:
            return self.abort(UNKNOWN_COMMAND)
        value = self.data[: len(self.data) - (data[0] >> 2 & 7)]
        if self.crc and binascii.crc_hqx(value, 0) != data[1] | data[2] << 8:
            return self.abort(BAD_CRC)
        self.store(value)
        return [b"\xa1" + bytes(7)]


class Wire:
    """Client, server, and the frames between them, in time. ``fault(number, who, data)`` gives [(delay, who, data)]."""

    def __init__(self, server, fault=None, **options):
        self.server = server
        self.client = SdoClient(CHANNEL, timeout_s=TIMEOUT_S, **options)
        self.fault = fault
        self.now = 0.0
        self.log = []
        self.late = 0
        self._flying = []
        self._order = 0
        self._free_at = {"client": 0.0, "server": 0.0}
        self._bus_at = 0.0

    def send(self, who, messages, after):
        for data in messages:
            number = len(self.log)
            self.log.append((who, data))
            self._bus_at = max(self._bus_at, self.now + after) + FRAME_S
            copies = [(0.0, who, data)] if self.fault is None else self.fault(number, who, data)
            for delay, sender, copy in copies:
                self._order += 1
                heapq.heappush(self._flying, (self._bus_at + delay, self._order, sender, copy))

    def collect(self):
        self.send("client", [frame.data for frame in self.client.frames_to_send()], 0.0)
        self.late += sum(isinstance(event, LateAnswer) for event in self.client.events())

    def run(self, transfer=None, until=60.0):
        """Until the transfer is done, or nothing happens any more."""
        self.collect()
        while transfer is None or not transfer.done:
            ends = self.client.deadline()
            arrives = self._flying[0][0] if self._flying else None
            times = [time for time in (ends, arrives) if time is not None]
            if not times or min(times) > until:
                break
            self.now = max(self.now, min(times))
            if arrives is not None and arrives <= self.now:
                _, _, who, data = heapq.heappop(self._flying)
                if who == "client":
                    self.send("server", self.server.handle(data), SERVER_S)
                else:
                    self.client.receive(CHANNEL.response(data), self.now)
            else:
                self.client.tick(self.now)
            self.collect()
        if transfer is not None:
            assert transfer.done, "a hang"
        return transfer


OBJECT = bytes.fromhex("002001")
OTHER = bytes.fromhex("002002")


def data_of(size):
    return bytes(1 + i * 37 % 251 for i in range(size))


# --- random sizes and chunks ------------------------------------------------------------------------------------------

sizes = st.one_of(st.integers(0, 40), st.integers(0, 2000))


@given(size=sizes, sized=st.booleans(), crc=st.booleans(), block=st.booleans(), blocks=st.booleans())
def test_what_the_server_has_is_what_is_read(size, sized, crc, block, blocks):
    server = Server({OBJECT: data_of(size)}, sized=sized, crc=crc, blocks=blocks)
    wire = Wire(server)
    assert wire.run(wire.client.upload(0x2000, 1, 0.0, block=block)).result() == data_of(size)
    wire.run()
    assert (wire.client.strays, wire.client.late_answers, server.state) == (0, 0, "")


@given(size=sizes, block_size=st.integers(1, 127))
def test_any_block_size_of_ours(size, block_size):
    wire = Wire(Server({OBJECT: data_of(size)}), block_size=block_size)
    into = io.BytesIO()
    wire.run(wire.client.upload(0x2000, 1, 0.0, block=True, into=into)).result()
    assert into.getvalue() == data_of(size)


class Pieces(io.RawIOBase):
    """A source that gives pieces of the sizes it is told, again and again."""

    def __init__(self, data, sizes):
        self.data = data
        self.sizes = sizes
        self.calls = 0

    def read(self, count=-1):
        size = min(self.sizes[self.calls % len(self.sizes)], count)
        self.calls += 1
        taken, self.data = self.data[:size], self.data[size:]
        return taken


@given(
    size=sizes,
    pieces=st.lists(st.integers(1, 300), min_size=1, max_size=5),
    announced=st.booleans(),
    block=st.booleans(),
    blocks=st.booleans(),
    crc=st.booleans(),
    block_size=st.integers(1, 127),
)
def test_what_is_written_is_what_the_server_gets(size, pieces, announced, block, blocks, crc, block_size):
    server = Server({}, blocks=blocks, crc=crc, block_size=block_size)
    wire = Wire(server)
    source = Pieces(data_of(size), pieces)
    transfer = wire.client.download(0x2000, 1, source, 0.0, size=size if announced else None, block=block)
    wire.run(transfer).result()
    assert server.writes == [(OBJECT, data_of(size))]
    assert transfer.transferred == size


@given(
    size=st.integers(0, 600),
    losses=st.sets(st.integers(0, 200), max_size=8),
    crc=st.booleans(),
    block_size=st.integers(1, 127),
    write=st.booleans(),
)
def test_lost_frames_of_a_block_transfer_never_change_the_data(size, losses, crc, block_size, write):
    server = Server({OBJECT: data_of(size)}, crc=crc, block_size=block_size)
    wire = Wire(server, lambda n, who, data: [] if n in losses else [(0.0, who, data)], block_size=block_size)
    if write:
        transfer = wire.client.download(0x2000, 1, data_of(size)[::-1], 0.0, block=True, restarts=9)
        expected = data_of(size)[::-1]
    else:
        transfer = wire.client.upload(0x2000, 1, 0.0, block=True, restarts=9)
        expected = data_of(size)
    wire.run(transfer)
    if transfer.error is None:
        assert (server.values[OBJECT] if write else transfer.data) == expected
    else:
        assert isinstance(transfer.error, SdoTimeout)
        assert write or len(losses) == 8


# --- the fault matrix -------------------------------------------------------------------------------------------------

KINDS = {
    "expedited read": {"size": 3},
    "segmented read": {"size": 24},
    "segmented read of one": {"size": 6},
    "segmented read, no size": {"size": 24, "sized": False},
    "block read": {"size": 58, "block": True},
    "block read of one": {"size": 5, "block": True},
    "block read, no crc, no size": {"size": 58, "block": True, "crc": False},
    "block read, refused": {"size": 24, "block": True, "blocks": False},
    "expedited write": {"size": 3, "write": True},
    "segmented write": {"size": 24, "write": True},
    "block write": {"size": 100, "write": True, "block": True},
    "block write, refused": {"size": 24, "write": True, "block": True, "blocks": False},
}
FAULTS = {
    "drop": lambda who, data: [],
    "double": lambda who, data: [(0.0, who, data)] * 2,
    "delay": lambda who, data: [(TIMEOUT_S * 1.01, who, data)],
    "delay into the silence": lambda who, data: [(TIMEOUT_S + 0.005, who, data)],
    "delay into the next attempt": lambda who, data: [(TIMEOUT_S + 0.0225, who, data)],
    "delay long": lambda who, data: [(TIMEOUT_S * 1.9, who, data)],
    "swap": lambda who, data: [(2 * FRAME_S, who, data)],
    "break command": lambda who, data: [(0.0, who, b"\xff" + data[1:])],
    "break object": lambda who, data: [(0.0, who, bytes([data[0], data[1] ^ 0x80]) + data[2:])],
    "stray abort": lambda who, data: [(0.0, who, data), (0.0, "server", bytes.fromhex("8000200100000008"))],
    "foreign abort": lambda who, data: [(0.0, who, data), (0.0, "server", bytes.fromhex("8001200100000008"))],
    "stale value": lambda who, data: [(0.0, who, data), (0.0, "server", bytes.fromhex("4B01200155AA0000"))],
    "stale segment": lambda who, data: [(0.0, who, data), (0.0, "server", bytes.fromhex("0055AA55AA55AA55"))],
    "stale toggled": lambda who, data: [(0.0, who, data), (0.0, "server", bytes.fromhex("1055AA55AA55AA55"))],
    "stale ack": lambda who, data: [(0.0, who, data), (0.0, "server", bytes.fromhex("6001200100000000"))],
}


def begin(wire, size, write=False, block=False, **_):
    if write:
        return wire.client.download(0x2000, 1, data_of(size)[::-1], wire.now, block=block)
    return wire.client.upload(0x2000, 1, wire.now, block=block)


def server_for(size, restarts, sized=True, crc=True, blocks=True, **_):
    values = {OBJECT: data_of(size), OTHER: data_of(10)}
    return Server(values, sized=sized, crc=crc, blocks=blocks, restarts=restarts)


def spoil_one(at, what):
    return lambda number, who, data: FAULTS[what](who, data) if number == at else [(0.0, who, data)]


@pytest.mark.parametrize("restarts", [False, True], ids=["strict", "lenient"])
@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("kind", KINDS)
def test_one_fault_in_any_frame(kind, fault, restarts):
    options = KINDS[kind]
    clean = Wire(server_for(restarts=restarts, **options))
    begin_clean = begin(clean, **options)
    clean.run(begin_clean)
    clean.run()
    assert begin_clean.error is None
    for at, (_, data) in enumerate(clean.log):
        if fault == "break object" and data[1:4] != OBJECT:
            continue  # a changed byte of data cannot be told, except by a CRC
        one_fault(kind, fault, restarts, at)


def one_fault(kind, fault, restarts, at):
    options = KINDS[kind]
    where = f"{kind}, {fault} at {at}"
    server = server_for(restarts=restarts, **options)
    wire = Wire(server, spoil_one(at, fault))
    transfer = wire.run(begin(wire, **options))
    assert transfer.done_at <= 2 * (2 * TIMEOUT_S + 0.1), where
    write = options.get("write", False)
    expected = data_of(options["size"])[:: -1 if write else 1]
    if transfer.error is not None:
        assert isinstance(transfer.error, SdoError), where
        check_error(transfer.error, fault, write, server, where)
        assert transfer.data == b""
    elif write:
        assert server.values[OBJECT] == expected, where
    else:
        assert transfer.data == expected, where
    if fault != "double":
        assert len(server.writes) <= 1, f"{where}: written twice"
    # the next ones work, with whatever is still under way
    last = server.values[OBJECT]
    other = wire.run(wire.client.upload(0x2000, 2, wire.now))
    if "abort" in fault and other.error is not None:
        assert other.error.code == 0x0800_0000, where  # it came too late for the transfer it was meant for
        other = wire.run(wire.client.upload(0x2000, 2, wire.now))
    assert other.error is None and other.data == data_of(10), f"{where}: {other}"
    again = wire.run(wire.client.upload(0x2000, 1, wire.now))
    assert again.error is None and again.data in (last, server.values[OBJECT]), f"{where}: {again}"
    write = wire.run(wire.client.download(0x2000, 1, b"\x01\x02", wire.now))
    assert write.error is None and (OBJECT, b"\x01\x02") in server.writes, f"{where}: {write}"
    wire.run()
    assert wire.client.pending == 0


def check_error(error, fault, write, server, where):
    if isinstance(error, SdoTimeout):
        assert write or "break" in fault or "stale" in fault, f"{where}: a read begins again"
        if not error.may_be_done:
            assert not server.writes, where
    elif isinstance(error, SdoAborted):
        assert not error.by_client, where
    else:
        assert isinstance(error, SdoProtocolError), where


def test_the_wire_can_spoil_a_transfer():
    """The matrix would say so if the client took what it gets."""
    wire = Wire(server_for(24, False), spoil_one(3, "drop"))
    transfer = wire.run(begin(wire, 24))
    assert transfer.attempts == 2
    assert len(wire.log) > len(transfer.data) // 7 * 2 + 4
