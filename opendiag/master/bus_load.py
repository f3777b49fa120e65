"""How busy a bus is: bits per second over the last second, and the most there was in any second.

Bits are counted as they are on the wire. Stuff bits of classic frames are not estimated but counted, from identifier,
data and CRC (`opendiag.simulate.bits`): that takes some 3 µs for a frame that was not seen lately and a fifth of that
for one that was, so a full bus of 1 Mbit/s costs 3 % of one processor at most. What remains an estimate: a CAN FD frame
is taken as if all of its bits had the nominal bit time, with one stuff bit for every ten bits; with bit rate switch
that is too much. Error frames are counted, but take no part in the load: nobody tells how much of the broken frame was
on the bus before. A frame of ours counts when it is handed to the adapter.

Seconds slide in steps of 10 ms.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from opendiag.frame import Frame
from opendiag.simulate.bits import INTERMISSION_BITS, frame_bits

_STEP_S = 0.01
_STEPS = 100
#: Less than this tells nothing yet.
_LEAST_S = 0.05
#: Start of frame to end of frame of a CAN FD frame without data bytes, for 11 and 29 bits of identifier: the long CRC.
_FD_BITS, _FD_EXTENDED_BITS = 58, 77
_FD_STUFFED = 1.1


@dataclass(slots=True)
class _Step:
    """What came in one step of time, by its number since the clock's zero."""

    number: int
    bits: int = 0
    frames: int = 0
    errors: int = 0


class BusLoad:
    """Listens to a pump: ``network.pump.listen(load)``. Ask it, and feed it, on one clock in seconds.

    ``bit_rate`` in bit/s; None where nobody knows it: then there is no load, but a number of frames.
    ``frames`` and ``errors`` count since ``started_at``.
    """

    def __init__(self, bit_rate: int | None, started_at: float) -> None:
        self.bit_rate = bit_rate
        self.started_at = started_at
        self.frames = self.errors = 0
        self._steps: deque[_Step] = deque()
        self._bits = self._in_window = self._errors_in_window = 0
        self._most_bits = 0

    # --- listening ---

    def received(self, frame: Frame, now: float) -> None:
        """The echo of an own frame is not another frame."""
        if frame.error:
            self._step(now).errors += 1
            self.errors += 1
            self._errors_in_window += 1
        elif frame.direction != "tx":
            self.sent(frame, now)

    def sent(self, frame: Frame, now: float) -> None:
        bits = bits_on_bus(frame)
        step = self._step(now)
        step.bits += bits
        step.frames += 1
        self.frames += 1
        self._bits += bits
        self._in_window += 1

    def send_failed(self, frame: Frame, reason: str, now: float) -> None:
        """It was not on the bus, as far as the adapter says."""

    # --- asking ---

    def load(self, now: float) -> float | None:
        """Part of the last second that was busy, 0..1, or of the time since the start where that is less.

        None without a bit rate, and right after the start.
        """
        seconds = self._seconds(now)
        if self.bit_rate is None or not seconds:
            return None
        return min(self._bits / (self.bit_rate * seconds), 1.0)

    def peak(self, now: float) -> float | None:
        """The highest load of any second so far, 0..1; before the first second is over, the one until now."""
        load = self.load(now)
        if load is None or self.bit_rate is None:
            return None
        return max(load, min(self._most_bits / self.bit_rate, 1.0))

    def frames_per_s(self, now: float) -> float:
        """Frames on the bus, ours too, in the last second."""
        seconds = self._seconds(now)
        return self._in_window / seconds if seconds else 0.0

    def errors_per_s(self, now: float) -> float:
        """Error frames that the adapter delivered in the last second."""
        seconds = self._seconds(now)
        return self._errors_in_window / seconds if seconds else 0.0

    # --- counting ---

    def _seconds(self, now: float) -> float:
        """How long the window is; 0.0 where it is too short."""
        number = int(now / _STEP_S)
        self._forget(number)
        seconds = now - max(self.started_at, (number + 1 - _STEPS) * _STEP_S)
        return seconds if seconds >= _LEAST_S else 0.0

    def _step(self, now: float) -> _Step:
        number = int(now / _STEP_S)
        steps = self._steps
        if steps and number <= steps[-1].number:
            return steps[-1]
        self._forget(number)
        steps.append(_Step(number))
        return steps[-1]

    def _forget(self, number: int) -> None:
        """Let the window end with this step, and note how much was in the one that ended before it."""
        steps = self._steps
        if steps and steps[-1].number < number and number >= int(self.started_at / _STEP_S) + _STEPS:
            self._most_bits = max(self._most_bits, self._bits)
        while steps and steps[0].number <= number - _STEPS:
            old = steps.popleft()
            self._bits -= old.bits
            self._in_window -= old.frames
            self._errors_in_window -= old.errors


def bits_on_bus(frame: Frame) -> int:
    """Bit times that the frame takes, with stuff bits and the intermission after it. 0 for an error frame."""
    if frame.error:
        return 0
    if frame.fd:
        fixed = _FD_EXTENDED_BITS if frame.extended else _FD_BITS
        return int((fixed + 8 * len(frame.data)) * _FD_STUFFED) + INTERMISSION_BITS
    return frame_bits(frame) + INTERMISSION_BITS
