"""A program on a terminal: what is typed, what is shown, how it ends."""

from __future__ import annotations

import os
import pty
import re
import select
import signal
import subprocess
import sys
import time


class Terminal:
    """``opendiag`` with these arguments, in a process of its own on a pseudo terminal."""

    def __init__(self, *arguments: str, cwd: str | None = None, **environment: str) -> None:
        self._master, slave = pty.openpty()
        self.text = ""
        self.process = subprocess.Popen(
            [sys.executable, "-m", "opendiag", *arguments],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
            preexec_fn=_controlling,
            cwd=cwd,
            env={**os.environ, "COLUMNS": "110", "LINES": "30", "TERM": "xterm", **environment},
        )
        os.close(slave)

    def __enter__(self) -> Terminal:
        return self

    def __exit__(self, *exception: object) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        if self._master >= 0:
            os.close(self._master)

    def type(self, keys: str) -> None:
        os.write(self._master, keys.encode())

    def read(self, seconds: float) -> bool:
        """Take what is shown; False when the program has closed the terminal."""
        ready, _, _ = select.select([self._master], [], [], seconds)
        if ready:
            try:
                data = os.read(self._master, 65536)
            except OSError:
                return False
            self.text += data.decode(errors="replace")
            return bool(data)
        return True

    def wait_for(self, pattern: str, seconds: float = 20.0) -> None:
        """Until this is shown (a regular expression). Fails with what was shown instead."""
        until = time.monotonic() + seconds
        while not re.search(pattern, self.text):
            assert time.monotonic() < until, f"{pattern!r} never came: {self.text!r}"
            assert self.read(0.05) or re.search(pattern, self.text), f"ended without {pattern!r}: {self.text!r}"

    def hold(self, key: str, seconds: float, every_s: float = 0.03) -> None:
        """As a keyboard that repeats a key."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            self.type(key)
            self.read(every_s)
            time.sleep(every_s / 2)

    def end(self, seconds: float = 20.0) -> int:
        """The exit code."""
        until = time.monotonic() + seconds
        while self.process.poll() is None:
            assert time.monotonic() < until, f"it does not end: {self.text!r}"
            self.read(0.05)
        while self.read(0.1) and select.select([self._master], [], [], 0)[0]:
            pass
        return self.process.returncode

    def hang_up(self) -> None:
        """The terminal is gone."""
        os.close(self._master)
        self._master = -1

    def signal(self, number: signal.Signals) -> None:
        self.process.send_signal(number)


def _controlling() -> None:
    """Ctrl-C typed into it is a signal."""
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
