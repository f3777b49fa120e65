"""One SDO transfer as a listener sees it: what is known of it, what is doubtful, and block data put together."""

from __future__ import annotations

import binascii
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Any

from opendiag.wire import sdo, sdo_block


class Outcome(Enum):
    """How a transfer ended, as far as the capture shows."""

    DONE = "ok"
    ABORTED = "aborted"
    UNANSWERED = "unanswered"
    INCOMPLETE = "incomplete"
    STRAY = "stray"
    MALFORMED = "malformed"


class Phase(Enum):
    """What the transfer waits for."""

    UPLOAD_ASKED = auto()
    UPLOAD_SEGMENTS = auto()
    DOWNLOAD_ASKED = auto()
    DOWNLOAD_SEGMENTS = auto()
    BLOCK_UPLOAD_ASKED = auto()
    BLOCK_UPLOAD_READY = auto()
    BLOCK_UPLOAD_DATA = auto()
    BLOCK_UPLOAD_END = auto()
    BLOCK_UPLOAD_ENDED = auto()
    BLOCK_DOWNLOAD_ASKED = auto()
    BLOCK_DOWNLOAD_DATA = auto()
    BLOCK_DOWNLOAD_END = auto()
    BLOCK_DOWNLOAD_ENDED = auto()


@dataclass(slots=True)
class Transfer:
    """One transfer, or what is left of it. ``kind`` is read, write, or "" where the start was not captured.

    ``problems`` maps a stable code to its sentence. ``doubtful`` is True when the data may not be what was sent.
    """

    kind: str
    index: int | None = None
    subindex: int | None = None
    protocol: str | None = None
    phase: Phase | None = None
    frames: list[int] = field(default_factory=list)
    start_ns: int | None = None
    answer_ns: int | None = None
    end_ns: int | None = None
    announced: int | None = None
    data: bytearray = field(default_factory=bytearray)
    outcome: Outcome = Outcome.UNANSWERED
    abort: sdo.Abort | None = None
    abort_by: str = ""
    cut_by: str = ""
    problems: dict[str, str] = field(default_factory=dict)
    doubtful: bool = False
    toggle: bool = False
    block: Block | None = None
    pending: sdo.Segment | None = None

    def doubt(self, code: str, sentence: str) -> None:
        """Note a problem that means the data cannot be trusted."""
        self.problems.setdefault(code, sentence)
        self.doubtful = True

    def touch(self, number: int, time_ns: int | None, from_client: bool) -> None:
        """One more frame belongs to this transfer."""
        self.frames.append(number)
        if len(self.frames) == 1:
            self.start_ns = time_ns
        elif not from_client and self.answer_ns is None:
            self.answer_ns = time_ns
        self.end_ns = time_ns

    def names(self, message: Any) -> bool:
        """True when the message names this transfer's object."""
        return (message.index, message.subindex) == (self.index, self.subindex)


@dataclass(slots=True)
class Block:
    """Sub-blocks put together. ``crc`` is True when both sides said they can compute one."""

    block_size: int = sdo_block.MAX_BLOCK_SIZE
    crc: bool = False
    waiting: dict[int, bytes] = field(default_factory=dict)
    last: int | None = None
    end: sdo_block.BlockEnd | None = None

    def segment(self, transfer: Transfer, segment: sdo_block.BlockSegment) -> None:
        if segment.sequence == 1 and self.waiting:
            transfer.doubt("block-ack-missing", "the acknowledge of a sub-block was not captured")
            self.ack(transfer, max(self.waiting))
        if segment.sequence > self.block_size:
            transfer.doubt("block-sequence", f"segment {segment.sequence} of a sub-block of {self.block_size}")
        if self.last is not None and segment.sequence > self.last:
            transfer.doubt("block-sequence", f"segment {segment.sequence} after the last one, {self.last}")
        self.waiting[segment.sequence] = segment.data
        if segment.last:
            self.last = segment.sequence

    def ack(self, transfer: Transfer, sequence: int) -> bool:
        """Keep what the receiver acknowledged; True when that was the last of the data."""
        for number in range(1, sequence + 1):
            data = self.waiting.get(number)
            if data is None:
                transfer.doubt("block-segment-missing", f"segment {number} of a sub-block was not captured")
            else:
                transfer.data += data
        done = self.last is not None and sequence >= self.last
        self.waiting.clear()
        if not done:
            self.last = None
        return done

    def finish(self, transfer: Transfer) -> None:
        """Drop the padding of the last segment and check the CRC."""
        if self.end is None:
            return
        if self.end.unused:
            del transfer.data[-self.end.unused :]
        if not self.crc:
            return
        computed = binascii.crc_hqx(bytes(transfer.data), 0)
        if computed != self.end.crc:
            transfer.doubt("crc-error", f"CRC is {self.end.crc:04X}h, the data give {computed:04X}h")
        else:
            transfer.problems.setdefault("crc-ok", "CRC correct")
