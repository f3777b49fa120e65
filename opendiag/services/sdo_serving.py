"""What the transfers that an SDO server runs have in common: the next step, where data come from and where they go."""

from __future__ import annotations

import contextlib
from typing import BinaryIO

from opendiag.errors import SdoRefusal, WireError
from opendiag.services.object_store import ObjectStore
from opendiag.wire import sdo
from opendiag.wire.sdo_abort import SdoAbortCode
from opendiag.wire.sdo_block import MAX_BLOCK_SIZE

_CHUNK = MAX_BLOCK_SIZE * 7


class Serving:
    """A transfer of more than one request. ``index`` and ``subindex`` are its object.

    ``done`` after the last step; ``hold_s`` is how long the device then takes before it answers. ``raw`` while the
    client's frames have no command byte, ``raw_answers`` while the server's have none. ``patience``: the part of the
    server's time-out that the client may be silent for before `quiet` is called.
    """

    __slots__ = ("done", "hold_s", "index", "patience", "raw", "raw_answers", "subindex")

    def __init__(self, index: int, subindex: int) -> None:
        self.index = index
        self.subindex = subindex
        self.done = False
        self.hold_s = 0.0
        self.raw = False
        self.raw_answers = False
        self.patience = 1.0

    def begin(self) -> list[bytes]:
        """The answer to the request that began the transfer."""
        raise NotImplementedError

    def step(self, data: bytes, now: float) -> list[bytes]:
        """The answers to a request. Raise SdoRefusal to end the transfer with an abort."""
        raise NotImplementedError

    def quiet(self) -> list[bytes]:
        """The client has been silent for too long."""
        raise SdoRefusal(SdoAbortCode.TIMED_OUT)

    @property
    def leftover(self) -> int | None:
        """The latest segment of a sub-block of which more may be under way; None where there is none."""
        return None

    def close(self) -> None:
        """The transfer is over, well or not."""

    @property
    def written(self) -> bytes | None:
        """What was written, when it was not a stream."""
        return None

    @property
    def writes(self) -> bool:
        """False for an upload."""
        return False


def read_request(data: bytes) -> sdo.Request:
    """Decode what a client sent. Raise SdoRefusal with the code that says what is wrong with it."""
    try:
        return sdo.decode_request(data)
    except WireError:
        raise SdoRefusal(_fault(data)) from None


def _fault(data: bytes) -> SdoAbortCode:
    command = data[0] if data else 0
    if command & 0xFB == 0xA0 and len(data) > 4 and not 1 <= data[4] <= MAX_BLOCK_SIZE:
        return SdoAbortCode.INVALID_BLOCK_SIZE
    if command == 0xA2 and len(data) > 2:
        wrong_sequence = data[1] > MAX_BLOCK_SIZE
        return SdoAbortCode.INVALID_SEQUENCE_NUMBER if wrong_sequence else SdoAbortCode.INVALID_BLOCK_SIZE
    return SdoAbortCode.UNKNOWN_COMMAND


def unexpected() -> SdoRefusal:
    """A command that has no place here."""
    return SdoRefusal(SdoAbortCode.UNKNOWN_COMMAND)


class Source:
    """The data of an upload, from bytes or from a stream that is read as it is needed.

    ``size`` is None for a stream that cannot seek.
    """

    __slots__ = ("_at", "_buffer", "_left", "_stream", "size")

    def __init__(self, data: bytes | BinaryIO) -> None:
        self._stream: BinaryIO | None = None
        self._at = 0
        if isinstance(data, bytes | bytearray | memoryview):
            self._buffer = bytes(data)
            self.size: int | None = len(self._buffer)
            self._left: int | None = 0  # bytes that the stream has still to give
            return
        self._stream = data
        self._buffer = b""
        self.size = None
        if data.seekable():
            here = data.tell()
            self.size = data.seek(0, 2) - here
            data.seek(here)
        self._left = self.size

    def take(self, count: int) -> tuple[bytes, bool]:
        """Take the next ``count`` bytes, fewer at the end; and whether these are the last. Raise SdoRefusal."""
        end = self._at + count
        while self._left != 0 and len(self._buffer) <= end:
            self._fill()
            end = self._at + count
        data = self._buffer[self._at : end]
        self._at = end
        return data, self._left == 0 and end >= len(self._buffer)

    def _fill(self) -> None:
        assert self._stream is not None
        chunk = self._stream.read(_CHUNK if self._left is None else min(_CHUNK, self._left))
        self._buffer = self._buffer[self._at :] + chunk
        self._at = 0
        if chunk:
            self._left = None if self._left is None else self._left - len(chunk)
        elif self._left is None:
            self._left = 0
        else:  # the stream is shorter than announced
            raise SdoRefusal(SdoAbortCode.HARDWARE_ERROR)

    def close(self) -> None:
        """Close the stream, if it is one."""
        if self._stream is not None:
            with contextlib.suppress(OSError):
                self._stream.close()
            self._stream = None


class Sink:
    """Where the data of a download go. ``size`` is what the client announced, None when it did not.

    Raises the refusals of the store. With ``any_length`` the data are made to fit the object's width.
    """

    __slots__ = ("_collected", "_key", "_received", "_size", "_store", "_stream", "_width", "any_length")

    def __init__(
        self, store: ObjectStore, key: tuple[int, int], size: int | None, now: float, any_length: bool
    ) -> None:
        self._store = store
        self._key = key
        self._size = size
        self._width = store.width(*key)
        self.any_length = any_length and self._width is not None
        self._stream = store.check_write(*key, self._width if self.any_length else size, now)
        self._collected = bytearray()
        self._received = 0

    def feed(self, data: bytes) -> None:
        """Raise SdoRefusal as soon as there are more bytes than announced, or than the object can have."""
        self._received += len(data)
        if self._size is not None:
            if self._received > self._size:
                raise SdoRefusal(SdoAbortCode.LENGTH_MISMATCH)
        elif self._stream is None and self._width is not None and self._received > self._width and not self.any_length:
            raise SdoRefusal(SdoAbortCode.TOO_LONG)
        if self._stream is None:
            self._collected += data
            return
        view = memoryview(data)
        while view:  # an unbuffered file may take a part only
            taken = self._stream.write(view)
            if not taken:
                raise SdoRefusal(SdoAbortCode.CANNOT_STORE)
            view = view[taken:]

    def finish(self, now: float) -> float:
        """Hand the data over; gives the seconds the device needs before it answers."""
        if self._size is not None and self._received != self._size:
            raise SdoRefusal(SdoAbortCode.LENGTH_MISMATCH)
        if self._stream is None and self.any_length and self._width is not None:
            self._collected = self._collected[: self._width].ljust(self._width, b"\0")
        return self._store.write(*self._key, bytes(self._collected), now)

    @property
    def data(self) -> bytes | None:
        """None when they went into a stream."""
        return bytes(self._collected) if self._stream is None else None
