"""The bytes of a USB-CAN Analyzer to frames and status replies, however they are cut and damaged.

`opendiag.adapters.usbcan_codec` says what they look like.
"""

from __future__ import annotations

from opendiag.adapters.usbcan_codec import (
    CAN_FRAME,
    END,
    EXTENDED,
    FIXED,
    MESSAGE,
    MESSAGE_SIZE,
    REMOTE,
    START,
    STATUS,
    Status,
    checksum,
)
from opendiag.frame import MAX_EXTENDED_ID, MAX_STANDARD_ID, Frame


def _sizes() -> bytes:
    sizes = bytearray(256)
    for dlc in range(9):
        for remote in (0, REMOTE):
            sizes[0xC0 | remote | dlc] = 5 + dlc
            sizes[0xC0 | EXTENDED | remote | dlc] = 7 + dlc
    sizes[MESSAGE] = MESSAGE_SIZE
    return bytes(sizes)


#: No code of a 20-byte message is as high as this.
_CODES = 0x20
#: What adapters are known to send.
_KNOWN = (bytes((CAN_FRAME,)), bytes((STATUS,)))
#: What the second byte says about the length of all; 0: nothing begins like this.
_SIZES = _sizes()
_FIXED_SIZES = bytes(size if kind == MESSAGE else 0 for kind, size in enumerate(_SIZES))


#: So long after the last byte nothing more is waited for.
SILENCE_NS = 20_000_000
#: A place where messages may go on is believed when this many follow each other there.
_CHAIN = 2
#: The next message begins at most this far behind the start of a damaged one: 20 bytes, and one that was inserted.
_WINDOW = MESSAGE_SIZE + 1
#: More bytes must tell.
_WAIT = -1


class Parser:
    """Bytes of the adapter to frames, however they are cut. Never raises; what was odd is counted.

    ``resyncs``     places where the stream was damaged, and ``skipped`` bytes that were left out there.
    ``unended``     frames whose last byte never came.
    ``unknown``     20-byte messages with a right checksum of which nobody knows what they say.
    ``statuses``    replies to a status request, the oldest first; whoever wants them takes them out.

    A byte that got lost costs the damaged frame, and at most the next one. That is as much as a stream without
    checksums allows: damage that makes another well-formed frame goes unseen, but for ``fixed``.
    """

    def __init__(self, *, fixed: bool = False) -> None:
        self.resyncs = self.skipped = self.unended = self.unknown = 0
        self.statuses: list[Status] = []
        self._sizes = _FIXED_SIZES if fixed else _SIZES
        self._rest = b""
        self._lost_track = False
        self._at_damage = False  # the rest begins with what was damaged
        self._last_ns = 0

    @property
    def pending(self) -> bool:
        """Bytes wait for more, or for `silence`."""
        return bool(self._rest)

    def reset(self) -> None:
        """What comes next has nothing to do with what came before."""
        self._rest = b""
        self._lost_track = False
        self.statuses.clear()

    def feed(self, data: bytes, time_ns: int) -> list[Frame]:
        """All frames that are complete, with ``time_ns`` on them."""
        self._last_ns = time_ns
        return self._parse(self._rest + data if self._rest else data, time_ns, final=False)

    def silence(self, time_ns: int) -> list[Frame]:
        """Nothing came since `feed`. After 20 ms what waited for more bytes is judged as it is."""
        rest = self._rest
        if not rest or time_ns - self._last_ns < SILENCE_NS:
            return []
        if self._lost_track:
            return self._parse(rest, time_ns, final=True)
        if len(rest) > 1 and len(rest) == self._sizes[rest[1]] - 1 and rest[1] != MESSAGE and rest[-1] != END:
            frames: list[Frame] = []
            if self._run(rest + b"\x55", 0, frames, time_ns) == (len(rest) + 1, True):
                self.unended += 1
                self._rest = b""
                return frames
        # What a damaged message announced as its own may hold whole ones; else the rest of it may yet come.
        _, found = self._search(rest, 0, final=True)
        if found < _CHAIN:
            return []
        self._lost_track = self._at_damage = True
        self.resyncs += 1
        return self._parse(rest, time_ns, final=True)

    def _parse(self, data: bytes, time_ns: int, *, final: bool) -> list[Frame]:
        frames: list[Frame] = []
        position = 0
        while True:
            if self._lost_track:
                start, found = self._search(data, position, final=final)
                self.skipped += start - position
                position = start
                if found == _WAIT:
                    break
                self._lost_track = False
            position, well = self._run(data, position, frames, time_ns)
            if well:
                break
            self._lost_track = self._at_damage = True
            self.resyncs += 1
        self._rest = data[position:]
        return frames

    def _run(self, data: bytes, position: int, frames: list[Frame], time_ns: int) -> tuple[int, bool]:
        """As long as all is well: where it ended, and whether it is because there is no more."""
        sizes = self._sizes
        end = len(data)
        while position + 1 < end:
            kind = data[position + 1]
            stop = position + sizes[kind]
            if stop == position or data[position] != START:
                return position, False
            if stop > end:
                return position, True
            if kind == MESSAGE:
                if not self._take_message(data[position:stop], frames, time_ns):
                    return position, False
            elif data[stop - 1] != END:
                return position, False
            elif kind < 0xC9:
                can_id = data[position + 2] | data[position + 3] << 8
                if can_id > MAX_STANDARD_ID:
                    return position, False
                frames.append(Frame(can_id, data[position + 4 : stop - 1], direction="rx", time_ns=time_ns))
            else:
                frame = _rare_frame(data[position:stop], time_ns)
                if frame is None:
                    return position, False
                frames.append(frame)
            position = stop
        return position, position >= end or data[position] == START

    def _take_message(self, message: bytes, frames: list[Frame], time_ns: int) -> bool:
        if not _is_message(message):
            return False
        if message[2] == CAN_FRAME:
            frames.append(_fixed_frame(message, time_ns))
        elif message[2] == STATUS:
            self.statuses.append(Status(message[3], message[4], message[5:9]))
        else:
            self.unknown += 1
        return True

    # --- after damage

    def _search(self, data: bytes, start: int, *, final: bool) -> tuple[int, int]:
        """Where messages go on after damage at ``start``, and how sure that is; `_WAIT`: nothing until there.

        What is found does not depend on how the bytes were cut: unless ``final``, it waits until it can be told.
        """
        likely = _after_damage(data, start, self._sizes) if self._at_damage else ()
        while True:
            best, sure = start, 0
            places = [*likely, *(at for at in range(start, min(start + _WINDOW, len(data))) if data[at] == START)]
            for at in places:
                chain = self._chain(data, at, final=final)
                if chain in (_CHAIN, _WAIT):
                    return (at, chain) if chain == _CHAIN else (start, _WAIT)
                if chain > sure:
                    best, sure = at, chain
            if start + _WINDOW > len(data) and not final:
                return start, _WAIT
            if sure:
                return best, sure
            start = min(start + _WINDOW, len(data))
            self._at_damage, likely = False, ()
            if start == len(data):
                return start, 0 if final else _WAIT

    def _chain(self, data: bytes, at: int, *, final: bool) -> int:
        """How many messages follow each other there, up to `_CHAIN`; a last one counts if a start byte follows."""
        length = 0
        while length < _CHAIN:
            if final and at >= len(data):
                return _CHAIN if length else 0
            size = self._size(data, at)
            if size == _WAIT and not final:
                return _WAIT
            if size <= 0:
                return length if length and data[at] == START else 0
            at += size
            length += 1
        return length

    def _size(self, data: bytes, at: int) -> int:
        """Of the message that begins there; 0: none does."""
        here = len(data) - at
        if here <= 0 or data[at] != START:
            return _WAIT if here <= 0 else 0
        if here == 1:
            return _WAIT
        kind = data[at + 1]
        size = self._sizes[kind]
        if kind == MESSAGE and here > 2 and data[at + 2] >= _CODES:
            return 0
        if here < size:
            return _WAIT
        if kind == MESSAGE:
            return size if _is_message(data[at : at + size]) else 0
        if not size or data[at + size - 1] != END:
            return 0
        top = data[at + 5] <= 0x1F if kind & EXTENDED else data[at + 3] <= 0x07
        return size if top else 0


def _after_damage(data: bytes, start: int, sizes: bytes) -> tuple[int, ...]:
    """Where the next message begins if one byte of this one was inserted before it, lost, changed or inserted in it."""
    if start >= len(data):
        return ()
    if data[start] != START:  # a byte too many, or the start byte is missing
        announced = _announced(data, start, sizes)
        return (start + 1, start + announced - 1) if announced else (start + 1,)
    announced = _announced(data, start + 1, sizes)
    end = start + announced
    return (end - 1, end, end + 1) if announced else ()


def _announced(data: bytes, at: int, sizes: bytes) -> int:
    """The size of a message whose second byte is there; 0: of none that adapters are known to send."""
    kind = data[at] if at < len(data) else 0
    if kind == MESSAGE and data[at + 1 : at + 2] not in _KNOWN:
        return 0
    return sizes[kind]


def _is_message(message: bytes) -> bool:
    if message[2] >= _CODES or checksum(message) != message[19]:
        return False
    if message[2] != CAN_FRAME:
        return True
    extended, remote, can_id, dlc, _, _ = FIXED.unpack_from(message, 3)
    limit = MAX_EXTENDED_ID if extended == 2 else MAX_STANDARD_ID
    return extended in (1, 2) and remote in (1, 2) and can_id <= limit and dlc <= 8


def _fixed_frame(message: bytes, time_ns: int) -> Frame:
    extended, remote, can_id, dlc, data, _ = FIXED.unpack_from(message, 3)
    return _frame(can_id, data[:dlc], extended == 2, remote == 2, time_ns)


def _rare_frame(message: bytes, time_ns: int) -> Frame | None:
    extended, remote = bool(message[1] & EXTENDED), bool(message[1] & REMOTE)
    first = 6 if extended else 4
    can_id = int.from_bytes(message[2:first], "little")
    if can_id > (MAX_EXTENDED_ID if extended else MAX_STANDARD_ID):
        return None
    return _frame(can_id, message[first:-1], extended, remote, time_ns)


def _frame(can_id: int, data: bytes, extended: bool, remote: bool, time_ns: int) -> Frame:
    if remote:
        return Frame(can_id, b"", extended, True, dlc=len(data), direction="rx", time_ns=time_ns)
    return Frame(can_id, data, extended, direction="rx", time_ns=time_ns)
