"""The frames around a trigger: some seconds before it, some after it, and nothing of the hours between.

    ring = Ring(pre_s=10, post_s=30)
    for frame in frames:
        keep(ring.add(frame))
        if triggered:
            keep(ring.fire())

Time is that of the frames; nothing here reads a clock.
"""

from __future__ import annotations

from collections import deque

from opendiag.frame import Frame

#: About 25 s of a full 1 Mbit/s bus with the shortest frames, and some 150 MB.
MAX_FRAMES = 500_000
#: Frames of several channels may arrive out of order by less than this; by more, somebody has set the clock back.
_CLOCK_SET_NS = 10**9


class Ring:
    """Every frame comes out at most once, in the order it went in, however triggers follow each other.

    ``seen``, ``written``  frames that went in and came out; ``cut``: frames that left before their time because
                           more than ``max_frames`` were waiting.
    ``triggers``           how often it fired; ``windows``: how many stretches that makes. A trigger within the
                           seconds after another one extends the stretch.

    A frame without a time counts as one of the moment of the frame before it.
    """

    def __init__(self, pre_s: float, post_s: float, max_frames: int = MAX_FRAMES) -> None:
        """Raise ValueError for seconds below 0 (or none at all) and a ring of fewer than 1 frame."""
        if not 0 <= pre_s < float("inf") or not 0 <= post_s < float("inf"):
            raise ValueError(f"seconds before and after a trigger are 0 or more, not {pre_s} and {post_s}")
        if max_frames < 1:
            raise ValueError(f"a ring holds at least 1 frame, not {max_frames}")
        self.seen = self.written = self.cut = self.triggers = self.windows = 0
        self._pre_ns, self._post_ns = round(pre_s * 1e9), round(post_s * 1e9)
        self._max_frames = max_frames
        self._waiting: deque[tuple[int, Frame]] = deque()
        self._now_ns = 0
        self._last_ns: int | None = None
        self._end_ns: int | None = None

    @property
    def recording(self) -> bool:
        """True until the seconds after the last trigger are over."""
        return self._end_ns is not None

    def add(self, frame: Frame) -> list[Frame]:
        """What is to be written now: this frame, if a trigger was not long ago."""
        self.seen += 1
        if frame.time_ns is not None:
            self.advance(frame.time_ns)
        if self._end_ns is not None:
            self.written += 1
            return [frame]
        self._waiting.append((self._now_ns, frame))
        if len(self._waiting) > self._max_frames:
            self._waiting.popleft()
            self.cut += 1
        return []

    def fire(self) -> list[Frame]:
        """The trigger, at the moment of the last frame: what is to be written now, that frame included."""
        self.triggers += 1
        self.windows += not self.recording
        self._end_ns = self._now_ns + self._post_ns
        before = [frame for _, frame in self._waiting]
        self._waiting.clear()
        self.written += len(before)
        return before

    def advance(self, time_ns: int) -> None:
        """It is this late now, on the clock of the frames, even if no frame says so."""
        last = time_ns if self._last_ns is None else self._last_ns
        if time_ns < last - _CLOCK_SET_NS:
            self._last_ns = time_ns
            return
        self._now_ns += max(time_ns - last, 0)
        self._last_ns = max(time_ns, last)
        if self._end_ns is not None and self._now_ns > self._end_ns:
            self._end_ns = None
        while self._waiting and self._waiting[0][0] < self._now_ns - self._pre_ns:
            self._waiting.popleft()
