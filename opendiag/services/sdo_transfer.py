"""One SDO transfer of a client: what was asked, how far it is, how it ended; and what tells of it.

Below that, what the client and the conversations (`sdo_upload`, `sdo_download`, `sdo_block_*`) have in common: a
conversation is one attempt at one transfer and knows the protocol; the client knows time, queue and errors.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from opendiag.errors import OpenDiagError
from opendiag.findings import Finding, Severity
from opendiag.frame import Frame
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_streams import Sink, Source
from opendiag.wire.sdo_abort import SdoAbortCode

Progress = Callable[[int, int | None], None]


class SdoTransfer:
    """A read or a write of one object; `done` says whether it is over, then `error` or `data` is how.

    ``small_data`` is what was read or is to be written where that is at most eight bytes and no stream, else None.

    ``size`` is the announced number of bytes, None while nobody said it. ``kind`` is "expedited", "segmented" or
    "block", "" while it is not known. ``attempts`` counts how often it was begun. Times are those of the machine, in
    seconds; ``answered_after_s`` is how long the first answer took. ``oddities`` holds what was odd, once per code.
    """

    __slots__ = (
        "action",
        "answered_after_s",
        "attempts",
        "begun_at",
        "block",
        "data",
        "done",
        "done_at",
        "error",
        "index",
        "kind",
        "node_id",
        "oddities",
        "progress",
        "restarts",
        "size",
        "small_data",
        "stream",
        "subindex",
        "timeout_s",
        "total_timeout_s",
        "transferred",
        "urgent",
    )

    def __init__(
        self,
        node_id: int,
        index: int,
        subindex: int,
        action: str,
        stream: Sink | Source,
        timeout_s: float,
        total_timeout_s: float | None,
        restarts: int,
        block: bool,
        progress: Progress | None,
    ) -> None:
        self.node_id = node_id
        self.index = index
        self.subindex = subindex
        self.action = action
        self.stream = stream
        self.timeout_s = timeout_s
        self.total_timeout_s = total_timeout_s
        self.restarts = restarts
        self.block = block
        self.progress = progress
        self.done = False
        self.data = b""
        self.small_data: bytes | None = None
        self.urgent = False
        self.error: OpenDiagError | None = None
        self.size: int | None = None
        self.transferred = 0
        self.attempts = 0
        self.kind = ""
        self.begun_at: float | None = None
        self.done_at: float | None = None
        self.answered_after_s: float | None = None
        self.oddities: list[Finding] = []

    def result(self) -> bytes:
        """What was read; b"" for a write and where the data went into a stream. Raise the error it ended with."""
        if self.error is not None:
            raise self.error
        if not self.done:
            raise ValueError(f"{self!r} is not done")
        return self.data

    def __repr__(self) -> str:
        state = repr(self.error) if self.error else "done" if self.done else f"{self.transferred} bytes"
        return f"<SdoTransfer {self.action} {self.index:04X}:{self.subindex:02X} node {self.node_id}: {state}>"


@dataclass(frozen=True, slots=True)
class TransferDone:
    """The transfer is over, well or not."""

    transfer: SdoTransfer


@dataclass(frozen=True, slots=True)
class LateAnswer:
    """An answer to what had been given up ``late_by_s`` seconds before. It was discarded."""

    channel: SdoChannel
    frame: Frame
    late_by_s: float


class SdoLatency:
    """How long the server takes to answer, in seconds, over all its answers."""

    __slots__ = ("count", "last_s", "max_s")

    def __init__(self) -> None:
        self.last_s = 0.0
        self.max_s = 0.0
        self.count = 0


class GiveUp(Exception):
    """A conversation cannot go on; it never leaves the machine. ``code`` is what the server is told.

    ``restart``: a second attempt may do better; None: only if the line showed frames that belong elsewhere.
    """

    def __init__(self, code: int, reason: str, restart: bool | None = None) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.restart = restart


#: The kind of answer that is waited for, then the object or toggle it must name.
Awaited = tuple[str | int, ...]


class Line(Protocol):
    """The client as a conversation sees it."""

    timeout_s: float
    #: As long without a frame means that nothing more is under way.
    quiet_s: float
    block_size: int

    def send(self, data: bytes, now: float) -> None:
        """One message to the server; its answer is waited for from now on."""

    def send_block(self, messages: list[bytes], now: float) -> None:
        """A sub-block, whose acknowledge is waited for once it can have gone out."""

    def tell(self, data: bytes) -> None:
        """A message without an answer."""

    def wait(self, now: float, seconds: float) -> None:
        """Call `Conversation.expired` after this time, unless something is sent before."""

    def heard(self, now: float) -> None:
        """The answer to what was sent last."""

    def discard(self, data: bytes, now: float) -> None:
        """A frame of the server that is no answer to what was asked."""

    def malformed(self, data: bytes, reason: str, now: float) -> None:
        """A frame of the server that breaks the protocol: discarded and reported."""

    def doubtful(self, now: float) -> bool:
        """Have frames been seen, or may they come, that belong to an attempt that was given up?"""

    def odd(self, code: str, severity: Severity, sentence: str, data: bytes, assumed: str = "") -> None:
        """The server deviates, and it was coped with."""

    def follow(self, conversation: Conversation) -> None:
        """Go on with another conversation about the same transfer."""

    def finish(self, answer: bytes, now: float) -> None:
        """The transfer is complete with this answer."""


class Conversation:
    """One attempt. It raises `GiveUp` where it cannot go on."""

    __slots__ = ("line", "transfer")

    #: May the transfer begin again from the start? Not for a write that the server may have executed.
    restartable = True

    def __init__(self, line: Line, transfer: SdoTransfer) -> None:
        self.line = line
        self.transfer = transfer

    @property
    def awaits(self) -> Awaited:
        """What answer is waited for; two that are equal cannot be told apart."""
        raise NotImplementedError

    def begin(self, now: float) -> None:
        """Send the first message."""
        raise NotImplementedError

    def receive(self, data: bytes, now: float) -> None:
        """A message of the server other than an abort."""
        raise NotImplementedError

    def expired(self, now: float) -> bool:
        """The wait is over. True: something was done about it; False: this attempt is lost."""
        return False

    def fallback(self, code: int) -> Conversation | None:
        """The server refused with this abort code: another way to the same end, or None."""
        return None

    def names(self, index: int, subindex: int) -> bool:
        """True for the transfer's object."""
        return index == self.transfer.index and subindex == self.transfer.subindex

    def check_size(self, received: int) -> None:
        """All data are there: is it as much as was announced?"""
        size = self.transfer.size
        if size is not None and received != size:
            reason = f"the server announced {size} bytes and sent {received}"
            raise GiveUp(SdoAbortCode.LENGTH_MISMATCH, reason)
