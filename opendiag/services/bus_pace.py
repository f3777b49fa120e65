"""Keeps a sender from filling its adapter: it accounts for the bus's time as a model of what still waits to be sent.

Every frame heard and every frame sent takes its time on the wire, and the wire carries one at a time. What has been
handed over beyond that waits in the adapter, behind the traffic of others.
"""

from __future__ import annotations

from collections.abc import Callable

from opendiag.frame import Frame

#: Where nobody knows the bit rate: slow enough for most buses, and a full queue is waited out.
UNKNOWN_BIT_RATE = 125_000
#: However busy the bus is, one frame is tried after that: its priority may be enough.
_LONGEST_S = 0.1
#: Sums of times that count from 1970 are off by less.
_ROUNDING_S = 1e-6
#: After a refusal; adapters that are full are asked again no sooner.
_REFUSED_S = 0.002


def most_bits(frame: Frame) -> int:
    """Bit times of the frame with all stuff bits it can have, and of the pause behind it."""
    if frame.error:
        return 20
    head, data = (54 if frame.extended else 34), 0 if frame.remote else 8 * len(frame.data)
    return head + data + (head + data - 1) // 4 + 13


class BusPace:
    """``depth`` is how many frames of ours may wait in the adapter, the one on the wire included.

    ``bits_of`` gives the bit times of a frame with the pause behind it. ``bit_rate`` in bit/s, None: not ``known``.
    """

    def __init__(
        self, bit_rate: int | None = None, bits_of: Callable[[Frame], int] = most_bits, depth: int = 4
    ) -> None:
        self.known = bit_rate is not None
        self._bit_s = 1.0 / (bit_rate or UNKNOWN_BIT_RATE)
        self._bits_of = bits_of
        self._most_s = depth * most_bits(Frame(0, bytes(8))) * self._bit_s
        self._free_at = float("-inf")
        self._heard_s = 0.0

    def frame_s(self, frame: Frame) -> float:
        """Seconds on the wire, with the pause behind it; 0.0 where the bit rate is not known."""
        return self._bits_of(frame) * self._bit_s if self.known else 0.0

    def heard(self, frame: Frame) -> None:
        """Somebody else's frame was on the bus since the last question."""
        self._heard_s += self._bits_of(frame) * self._bit_s

    def backlog_s(self, now: float) -> float:
        """Seconds until everything handed over should have left."""
        heard, self._heard_s = self._heard_s, 0.0
        # What was heard took its time before now: it only delays what was waiting then.
        self._free_at = min(max(self._free_at, now - heard) + heard, now + max(_LONGEST_S, self._most_s))
        return max(self._free_at - now, 0.0)

    def wait_s(self, frame: Frame, now: float) -> float:
        """Seconds to wait before this frame may be handed over; 0.0: now.

        Once full, it is waited until half of it has left, so that a clock is not asked for each frame.
        """
        backlog = self.backlog_s(now)
        if backlog + self._bits_of(frame) * self._bit_s <= self._most_s + _ROUNDING_S:
            return 0.0
        return backlog - self._most_s / 2

    def sent(self, frame: Frame, now: float) -> None:
        """It was handed over."""
        self._free_at = now + self.backlog_s(now) + self._bits_of(frame) * self._bit_s

    def refused(self, now: float) -> None:
        """The adapter is full, whatever the account says."""
        self._free_at = max(self._free_at, now + max(self._most_s, _REFUSED_S + self._most_s / 2))
