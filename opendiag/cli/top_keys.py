"""Keys that somebody presses while a screen is drawn, without waiting for them."""

from __future__ import annotations

import os
import sys
from typing import Any

_SEQUENCES = {"\x1b[A": "up", "\x1b[B": "down", "\x1bOA": "up", "\x1bOB": "down", "\x1b[5~": "page up"}
_SEQUENCES |= {"\x1b[C": "right", "\x1b[D": "left", "\x1bOC": "right", "\x1bOD": "left"}
_SEQUENCES |= {"\x1b[6~": "page down", "\x1b[H": "home", "\x1b[F": "end", "\x1b[1~": "home", "\x1b[4~": "end"}
_WINDOWS = {
    "H": "up",
    "P": "down",
    "I": "page up",
    "Q": "page down",
    "G": "home",
    "O": "end",
    "M": "right",
    "K": "left",
}


class Keys:
    """While it is in force, keys arrive one by one and are not shown. Standard input that is no terminal has none."""

    def __init__(self) -> None:
        self._descriptor: int | None = None
        self._before: Any = None

    def __enter__(self) -> Keys:
        if sys.platform != "win32" and sys.stdin.isatty():
            import termios
            import tty

            self._descriptor = sys.stdin.fileno()
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor, termios.TCSANOW)
        return self

    def __exit__(self, *exception: object) -> None:
        if sys.platform != "win32" and self._descriptor is not None:
            import termios

            termios.tcsetattr(self._descriptor, termios.TCSANOW, self._before)

    def pressed(self) -> list[str]:
        """Letters in small, and "up", "down", "left", "right", "page up", "page down", "home", "end"."""
        return _on_windows() if sys.platform == "win32" else keys_in(self._waiting())

    def _waiting(self) -> str:
        if self._descriptor is None:
            return ""
        import select

        ready, _, _ = select.select([self._descriptor], [], [], 0)
        if not ready:
            return ""
        data = os.read(self._descriptor, 256)
        if not data:  # the terminal is gone: nobody can press q any more
            return "q"
        return data.decode("ascii", "ignore")


def keys_in(text: str) -> list[str]:
    """The keys behind the characters that a terminal sends; sequences that have no meaning here are left out."""
    found = []
    while text:
        name = next((name for name in _SEQUENCES if text.startswith(name)), None)
        if name is not None:
            found.append(_SEQUENCES[name])
            text = text[len(name) :]
        elif text.startswith("\x1b") and len(text) > 1:
            text = text[_length(text) :]
        else:
            found.append(text[0].lower())
            text = text[1:]
    return found


def _length(text: str) -> int:
    """Of the escape sequence at its beginning: up to the letter or ~ that ends it."""
    if text[1] not in "[O":
        return 2
    return next((place + 1 for place, sign in enumerate(text[2:], 2) if sign.isalpha() or sign == "~"), len(text))


def _on_windows() -> list[str]:
    if sys.platform != "win32":
        return []
    import msvcrt

    found = []
    while msvcrt.kbhit():
        sign = msvcrt.getwch()
        if sign in ("\0", "\xe0"):
            found += [name for name in (_WINDOWS.get(msvcrt.getwch()),) if name]
        else:
            found.append(sign.lower())
    return found
