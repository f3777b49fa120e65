"""The terminal while a drive is energised: a line at the bottom, and keys that stop it.

Any key stops, as somebody in a hurry does not look for one; where a verb gives keys a meaning, all others do. What
would leave the drive alone (Ctrl-Z, a terminal that is gone) stops it, too.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import sys
import threading
from collections.abc import Callable, Collection
from types import FrameType
from typing import Any

from opendiag.cli.output import visible
from opendiag.cli.top_keys import Keys

_LOOK_S, _DRAW_EVERY = 0.02, 5
#: They would stop or end us and leave the drive energised.
_SIGNALS = ("SIGTSTP", "SIGQUIT")
HINT = "Space or Ctrl-C stops"


class Console:
    """While it is in force: ``line()`` is shown at the bottom, and keys stop. Without a terminal it does nothing.

    ``meaning`` are keys with a meaning of their own, told to ``pressed``. ``stopped_by`` is the key that stopped.
    """

    def __init__(
        self,
        line: Callable[[], str],
        *,
        hint: str = HINT,
        meaning: Collection[str] = (),
        pressed: Callable[[str], None] = lambda key: None,
    ) -> None:
        self._line = line
        self._hint = hint
        self._meaning = meaning
        self._pressed = pressed
        self._shown = sys.stderr.isatty()
        self._keys = Keys()
        self._over = threading.Event()
        self._thread: threading.Thread | None = None
        self._before: dict[int, Any] = {}
        self.stopped_by: str | None = None

    @property
    def on_terminal(self) -> bool:
        return self._thread is not None

    def __enter__(self) -> Console:
        if sys.stdin.isatty():
            self._keys.__enter__()
            self._keys.pressed()  # what was typed before means nothing here
            _never_hold_output()
            self._catch()
            self._thread = threading.Thread(target=self._serve, name="opendiag keys", daemon=True)
            self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join(1.0)
            self._clear()
            self._keys.__exit__()
        if threading.current_thread() is threading.main_thread():
            for number, before in self._before.items():
                signal.signal(number, before)

    def _catch(self) -> None:
        if threading.current_thread() is threading.main_thread():
            for name in _SIGNALS:
                if hasattr(signal, name):
                    number = getattr(signal, name)
                    self._before[number] = signal.signal(number, self._signalled)

    def _signalled(self, number: int, frame: FrameType | None) -> None:
        self.stop(signal.Signals(number).name)

    def stop(self, key: str) -> None:
        """As Ctrl-C."""
        if self.stopped_by is None:
            self.stopped_by = key
            signal.raise_signal(signal.SIGINT)

    def _serve(self) -> None:
        count = 0
        while not self._over.wait(_LOOK_S):
            try:
                keys = self._keys.pressed()
            except OSError:  # the terminal is gone
                keys = ["q"]
            for key in keys:
                if key in self._meaning:
                    self._pressed(key)
                else:
                    self.stop(key)
            if count % _DRAW_EVERY == 0:
                self._draw()
            count += 1

    def _draw(self) -> None:
        if not self._shown:
            return
        width = shutil.get_terminal_size().columns - 1
        hint = f"  [{self._hint}]"
        text = visible(self._line())[: max(width - len(hint), 0)] + hint
        _write(f"\r\x1b[2K{text[:width]}")

    def _clear(self) -> None:
        if self._shown:
            _write("\r\x1b[2K")


def _write(text: str) -> None:
    with contextlib.suppress(OSError, ValueError):
        os.write(sys.stderr.fileno(), text.encode(sys.stderr.encoding or "utf-8", "replace"))


def _never_hold_output() -> None:
    """Ctrl-S would stop the output, and with it the thread that looks for keys. `Keys` puts the setting back."""
    if sys.platform != "win32":
        import termios

        attributes = termios.tcgetattr(sys.stdin.fileno())
        attributes[0] &= ~termios.IXON
        termios.tcsetattr(sys.stdin.fileno(), termios.TCSANOW, attributes)


class DeadMan:
    """A key that has to be kept pressed: the terminal repeats it, and each time counts for ``hold_s``."""

    def __init__(self, hold_s: float, clock: Callable[[], float]) -> None:
        self._hold_s = hold_s
        self._clock = clock
        self._direction = 0
        self._until = float("-inf")

    def press(self, key: str) -> None:
        """Forwards are "right" and "up", backwards "left" and "down"."""
        direction = 1 if key in ("right", "up") else -1
        if self._direction != direction and self.direction:  # the other way: that one has to stop first
            self._until = float("-inf")
            return
        self._direction, self._until = direction, self._clock() + self._hold_s

    @property
    def direction(self) -> int:
        """1, -1, or 0 when no key is held."""
        return self._direction if self._clock() < self._until else 0
