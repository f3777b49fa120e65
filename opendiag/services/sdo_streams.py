"""Where the bytes of a transfer come from and go to: memory or a caller's stream.

What a stream raises leaves as `StreamFailed`; the client makes an abort and an error of it.
"""

from __future__ import annotations

import io
from typing import BinaryIO

#: Bytes per call of the caller's stream.
CHUNK = 4096


class StreamFailed(Exception):
    """It never leaves the machine. ``cause`` is what the stream raised, if it was that."""

    def __init__(self, reason: str, cause: Exception | None = None) -> None:
        super().__init__(reason)
        self.reason = reason
        self.cause = cause


class Sink:
    """Takes what is read. Without a stream the bytes stay in `data`."""

    __slots__ = ("_begin", "_stream", "_written", "data")

    def __init__(self, stream: BinaryIO | None = None) -> None:
        self.data = bytearray()
        self._stream = stream
        self._begin = None if stream is None else _position(stream)
        self._written = False

    @property
    def kept(self) -> bool:
        """The bytes stay here."""
        return self._stream is None

    def write(self, data: bytes) -> None:
        self.data += data
        if self._stream is not None and len(self.data) >= CHUNK:
            self._flush()

    def close(self) -> bytes:
        """All is there: what was collected, or b"" when it went into the stream."""
        if self._stream is None:
            return bytes(self.data)
        self._flush()
        return b""

    def rewind(self) -> bool:
        """Forget everything, in the stream too; False when it cannot be taken back."""
        self.data.clear()
        if self._stream is None or not self._written:
            return True
        if self._begin is None:
            return False
        try:
            self._stream.seek(self._begin)
            self._stream.truncate()
        except Exception:  # the stream is the caller's and may raise anything
            return False
        self._written = False
        return True

    def _flush(self) -> None:
        assert self._stream is not None
        rest = memoryview(bytes(self.data))
        self.data.clear()
        while rest:
            self._written = True
            try:
                count = self._stream.write(rest)
            except Exception as error:
                raise StreamFailed(f"the data cannot be written: {error or type(error).__name__}", error) from error
            if not count:
                raise StreamFailed("the stream takes no data now: it must be a blocking one")
            rest = rest[count:]


class Source:
    """Gives what is written, in pieces of any size. ``size`` is announced and checked, None when not known."""

    __slots__ = ("_ahead", "_begin", "_ended", "_stream", "_taken", "size")

    def __init__(self, data: bytes | BinaryIO, size: int | None = None) -> None:
        self._taken = 0
        self._ahead = bytearray()
        self._ended = False
        if isinstance(data, (bytes, bytearray, memoryview)):
            self._stream: BinaryIO = io.BytesIO(data)
            self.size: int | None = len(data)
            self._begin: int | None = 0
        else:
            self._stream = data
            self.size = size
            self._begin = _position(data)

    def length_up_to(self, limit: int) -> int | None:
        """The number of bytes if it is at most ``limit``, else None. Nothing is taken."""
        self._fill(limit + 1)
        return len(self._ahead) if len(self._ahead) <= limit else None

    def take(self, count: int) -> tuple[bytes, bool]:
        """So many bytes, fewer only at the end, and whether that was the end."""
        if len(self._ahead) <= count:
            self._fill(count + 1)
        data = bytes(self._ahead[:count])
        del self._ahead[:count]
        self._taken += len(data)
        last = not self._ahead
        if self.size is not None and (self._taken > self.size or (self._taken == self.size) != last):
            self._wrong_size(last)
        return data, last

    def rewind(self) -> bool:
        """Begin again; False when what was taken cannot be had a second time."""
        if not self._taken:
            return True
        if self._begin is None:
            return False
        try:
            self._stream.seek(self._begin)
        except Exception:  # the stream is the caller's and may raise anything
            return False
        self._taken = 0
        self._ahead.clear()
        self._ended = False
        return True

    def _wrong_size(self, last: bool) -> None:
        given = f"ended after {self._taken}" if last else "has more"
        raise StreamFailed(f"{self.size} bytes were announced, and the source {given}")

    def _fill(self, count: int) -> None:
        while not self._ended and len(self._ahead) < count:
            try:
                data = self._stream.read(CHUNK)
            except Exception as error:
                raise StreamFailed(f"the data cannot be read: {error or type(error).__name__}", error) from error
            if not isinstance(data, (bytes, bytearray, memoryview)):
                what = "no data now: it must be a blocking one" if data is None else f"{type(data).__name__}, not bytes"
                raise StreamFailed(f"the source gave {what}")
            self._ended = not data
            self._ahead += data


def _position(stream: BinaryIO) -> int | None:
    """Where a stream stands, None when it cannot go back there."""
    try:
        return stream.tell() if stream.seekable() else None
    except Exception:  # the stream is the caller's and may raise anything
        return None
