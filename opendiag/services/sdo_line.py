"""The client's end of an SDO channel: what goes out, how long answers take, what arrives that nobody asked for."""

from __future__ import annotations

from typing import Any

from opendiag.findings import Finding, Severity
from opendiag.frame import Frame
from opendiag.services.base import Oddity
from opendiag.services.sdo_channel import SdoChannel
from opendiag.services.sdo_late import LateAnswers
from opendiag.services.sdo_transfer import Conversation, LateAnswer, SdoLatency, SdoTransfer

#: The silence after an attempt was given up, in seconds: what is still under way arrives in it.
QUIET_S = 0.02
#: Objects are read again and again: their requests are made once.
_READ = 0x40
_REQUESTS_KEPT = 1000


class SdoLine:
    """What a `Conversation` sees of the client (`opendiag.services.sdo_transfer.Line`)."""

    #: What a frame of a sub-block may take on the bus, in seconds.
    frame_time_s = 0.001

    def __init__(self, channel: SdoChannel, timeout_s: float, block_size: int) -> None:
        self.channel = channel
        self.timeout_s = timeout_s  # of the present transfer
        self.quiet_s = QUIET_S
        self.block_size = block_size
        self.late_answers = 0
        self.strays = 0
        self.latency = SdoLatency()
        self._transfer: SdoTransfer | None = None
        self._talk: Conversation | None = None
        self._frame: Frame | None = None  # the one being looked at
        self._out: list[Frame] = []
        self._events: list[Any] = []
        self._alien = b""  # an abort that names another object, while an answer of our own may follow
        self._open = False  # the server was told something in this attempt
        self._asked_at: float | None = None
        self._step_ends: float | None = None
        self._late = LateAnswers()
        self._odd_before = 0
        self._reported: set[str] = set()
        self._requests: dict[bytes, Frame] = {}

    def frames_to_send(self) -> list[Frame]:
        """In the order to send them."""
        out = self._out
        if out:
            self._out = []
        return out

    def events(self) -> list[Any]:
        """`TransferDone`, `LateAnswer` and `Oddity`, oldest first."""
        events = self._events
        if events:
            self._events = []
        return events

    # --- for conversations -----------------------------------------------------------------------------------------

    def send(self, data: bytes, now: float) -> None:
        """One message, and the wait for its answer."""
        frame = self._requests.get(data)
        if frame is None:
            frame = self.channel.request(data)
            if data[0] == _READ and len(self._requests) < _REQUESTS_KEPT:
                self._requests[data] = frame
        self._out.append(frame)
        self._open = True
        self._asked_at = now
        self._step_ends = now + self.timeout_s

    def send_block(self, messages: list[bytes], now: float) -> None:
        """A sub-block; the time to send it is not held against the server, nor counted as its latency."""
        self._out += map(self.channel.request, messages)
        self._asked_at = now + len(messages) * self.frame_time_s
        self._step_ends = self._asked_at + self.timeout_s

    def tell(self, data: bytes) -> None:
        """A message without an answer."""
        self._out.append(self.channel.request(data))

    def wait(self, now: float, seconds: float) -> None:
        """Until then."""
        self._step_ends = now + seconds

    def heard(self, now: float) -> None:
        """The answer to what was sent last."""
        self._alien = b""
        if self._asked_at is None:
            return
        took = max(now - self._asked_at, 0.0)
        self._asked_at = None
        latency = self.latency
        latency.last_s = took
        latency.count += 1
        if took > latency.max_s:
            latency.max_s = took
        if self._transfer is not None and self._transfer.answered_after_s is None:
            self._transfer.answered_after_s = took

    def follow(self, conversation: Conversation) -> None:
        """The transfer goes on with another conversation."""
        self._talk = conversation

    def doubtful(self, now: float) -> bool:
        """Did or may frames come that belong to something given up?"""
        return self.strays + self.late_answers > self._odd_before or self._late.any_fresh(now)

    def discard(self, data: bytes, now: float) -> None:
        """Count a frame that is no answer to what was asked, and say so if it is a late one."""
        request = self._late.claim(data, now) if self._late else None
        if request is None or self._frame is None:
            self.strays += 1
            return
        self.late_answers += 1
        late_by = now - request.at
        self._events.append(LateAnswer(self.channel, self._frame, late_by))
        sentence = f"An answer came {late_by * 1000:.0f} ms after it was given up."
        self._note(
            request.transfer,
            Finding(
                "SDO-LATE-ANSWER",
                Severity.WARNING,
                sentence,
                evidence=_hex(data),
                assumed="it was discarded",
                node=self.channel.node_id,
                advice="A longer time-out gives this node the time it needs.",
            ),
        )

    def malformed(self, data: bytes, reason: str, now: float) -> None:
        """Count and report a frame that breaks the protocol."""
        before = self.late_answers
        self.discard(data, now)
        if self.late_answers == before:
            sentence = f"A message of the server breaks the protocol: {reason}."
            self.odd("SDO-MALFORMED", Severity.WARNING, sentence, data, "it was discarded")

    def odd(self, code: str, severity: Severity, sentence: str, data: bytes, assumed: str = "") -> None:
        """Report a deviation of the server."""
        node = self.channel.node_id
        finding = Finding(code, severity, sentence, evidence=_hex(data), assumed=assumed, node=node)
        self._note(self._transfer, finding)

    def _note(self, transfer: SdoTransfer | None, finding: Finding) -> None:
        """Once per transfer and code to the transfer, once per client and code to the caller."""
        if transfer is not None and all(finding.code != other.code for other in transfer.oddities):
            transfer.oddities.append(finding)
        if finding.code not in self._reported:
            self._reported.add(finding.code)
            self._events.append(Oddity(finding))


def _hex(data: bytes) -> str:
    return data.hex(" ").upper()
