"""Ctrl-C as the end of a live stream, which has no other."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any

from opendiag.frame import Frame


class EndOfStream:
    """While it is in force, Ctrl-C ends `read` after the frame in hand instead of ending the program.

    Does nothing for a file, nor outside the main thread, where nobody can take the signal.
    """

    def __init__(self, live: bool) -> None:
        self._takes_signal = live and threading.current_thread() is threading.main_thread()
        self._waiting = False
        self._asked = False
        self._before: Any = None

    @property
    def asked(self) -> bool:
        """Somebody has pressed Ctrl-C."""
        return self._asked

    def __enter__(self) -> EndOfStream:
        if self._takes_signal:
            self._before = signal.signal(signal.SIGINT, self._on_signal)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._takes_signal:
            signal.signal(signal.SIGINT, self._before)

    def _on_signal(self, number: int, stack: object) -> None:
        self._asked = True
        if self._waiting:  # for a frame that may never come
            raise KeyboardInterrupt

    def read(self, log: Iterable[Frame]) -> Iterator[Frame]:
        """The frames until the stream ends or somebody asks for its end."""
        frames = iter(log)
        while not self._asked:
            try:
                self._waiting = True
                frame = next(frames)
            except StopIteration:
                return
            except KeyboardInterrupt:
                if not self._takes_signal:
                    raise
                return
            finally:
                self._waiting = False
            yield frame
