"""What a simulated bus counts: frames, bits, and how busy it was."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from opendiag.simulate.bits import INTERMISSION_BITS

_WINDOW_S = 1.0


@dataclass(frozen=True, slots=True)
class BusStatistics:
    """``queued`` = ``sent`` + ``pending`` + ``dropped``, over all stations that are or were attached.

    ``frames`` were on the bus and good (``sent`` counts one more for each station that sent the very same frame at the
    same time). ``frame_bits`` and ``error_bits`` are bit times with the intermission, ``data_bits`` the payload of good
    frames. ``load`` and ``load_last_second`` are 0..1 and count the intermission as busy. ``lost_by_faults`` frames
    reached nobody; ``held_by_faults`` and ``late`` have yet to be delivered; ``injected`` are an intruder's, and part
    of ``queued``.
    """

    queued: int
    sent: int
    pending: int
    dropped: int
    frames: int
    frame_bits: int
    data_bits: int
    error_frames: int
    error_bits: int
    load: float
    load_last_second: float
    faults_fired: int
    lost_by_faults: int
    held_by_faults: int
    late: int
    injected: int


class Traffic:
    """Counts frames as they begin and end. ``bit_s`` is the bit time in seconds; 0: a bus without times has no load."""

    def __init__(self, bit_s: float, start: float) -> None:
        self.frames = self.frame_bits = self.data_bits = self.error_frames = self.error_bits = 0
        self._bit_s = bit_s
        self._gap_s = INTERMISSION_BITS * bit_s
        self._start = start
        self._frame_end = start
        self._busy: deque[tuple[float, float]] = deque()

    def begin(self, now: float, end: float) -> None:
        """The bus is busy until ``end`` and in the intermission after it."""
        if not self._bit_s:
            return
        self._frame_end = end
        busy = self._busy
        busy.append((now, end + self._gap_s))
        while busy[0][1] <= now - _WINDOW_S:
            busy.popleft()

    def good(self, bits: int, data_bits: int) -> None:
        """A frame of ``bits`` without the intermission has ended."""
        self.frames += 1
        self.frame_bits += bits + INTERMISSION_BITS
        self.data_bits += data_bits

    def bad(self, bits: int) -> None:
        """A broken frame and its error frame have ended."""
        self.error_frames += 1
        self.error_bits += bits + INTERMISSION_BITS

    def load_last_second(self, now: float) -> float:
        """Busy part of the last second, or of the time since the start if that is less; 0..1."""
        since = max(self._start, now - _WINDOW_S)
        if now <= since:
            return 0.0
        busy_s = sum(max(0.0, min(end, now) - max(begun, since)) for begun, end in self._busy)
        return min(1.0, busy_s / (now - since))

    def load(self, now: float) -> float:
        """Busy part of the time since the start, 0..1. Counted in bits: it is exact between two frames."""
        if now <= self._start or not self._busy:
            return 0.0
        busy_s = (self.frame_bits + self.error_bits) * self._bit_s
        begun, idle_at = self._busy[-1]
        if self._frame_end > now:
            # The frame that is on the bus is not in the counters yet.
            busy_s += now - begun
        else:
            busy_s -= max(0.0, idle_at - now)
        return min(1.0, busy_s / (now - self._start))
