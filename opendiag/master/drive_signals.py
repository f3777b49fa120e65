"""Ctrl-C, SIGTERM and a closed terminal while drives are enabled: they are brought to rest first, whatever the script
is doing.

Python runs signal handlers between two of its instructions, and a script may sit in a long computation of a library:
so a thread of its own is woken by the signal itself and begins to stop the drives.
"""

from __future__ import annotations

import _thread
import atexit
import contextlib
import logging
import os
import signal
import socket
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any, Protocol

_LOG = logging.getLogger("opendiag")
_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
#: A signal that came at a bad moment is looked at again after that.
_AGAIN_S = 0.002
#: Code that an exception out of nowhere would harm.
_OURS = (str(Path(__file__).parent), contextlib.ExitStack.close.__code__.co_filename)


class Restable(Protocol):
    """The drives of one network."""

    def begin_rest(self, cause: str) -> None:
        """Begin to bring them to rest; never waits for that."""

    def rest_now(self) -> None:
        """Bring them to rest, and wait for it."""

    @property
    def busy(self) -> bool:
        """Would an exception in the main thread do harm now?"""

    @property
    def stopping(self) -> bool:
        """Is one of them being brought to rest, whoever has begun that?"""


class SignalWatch:
    """There is one in the process. Handlers are there only while something is registered, and call those from before.

    Handlers can only be set by the main thread: what is enabled in another one does without.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._registered: list[Restable] = []
        self._before: dict[int, Any] = {}
        self._pending: dict[int, Any] = {}
        self._late: dict[int, Any] = {}
        self._socket: socket.socket | None = None
        self._woken = False
        self._acted = False
        self._exit_hook = False
        self._process = os.getpid()

    def add(self, drives: Restable) -> None:
        """From now on these are brought to rest."""
        with self._lock:
            if self._process != os.getpid():  # a copy of another process, whose drives are not ours
                self._registered, self._process, self._exit_hook = [], os.getpid(), False
            if drives not in self._registered:
                self._registered = [*self._registered, drives]
            if not self._exit_hook:
                self._exit_hook = True
                atexit.register(self._at_exit)
        self._install()

    def remove(self, drives: Restable) -> None:
        with self._lock:
            self._registered = [other for other in self._registered if other is not drives]
            if self._registered:
                return
        self._uninstall()

    def _at_exit(self) -> None:
        """The script has ended, and has left drives as they were. Ctrl-C has nothing more to end."""
        for drives in self._registered if self._process == os.getpid() else ():
            with contextlib.suppress(Exception, KeyboardInterrupt, SystemExit):
                drives.rest_now()

    def forked(self) -> None:
        """In a copy of the process: its signals, and the way to tell of them, are not ours."""
        self._lock = threading.Lock()
        registered, self._registered = self._registered, []
        self._pending.clear()
        self._late.clear()
        if registered or self._socket is not None:
            self._uninstall()

    # --- handlers ---

    def _install(self) -> None:
        if threading.current_thread() is not threading.main_thread():
            if self._socket is None:
                _LOG.warning(
                    "Ctrl-C and SIGTERM do not stop the drives that thread %r enables: enable one in the main thread",
                    threading.current_thread().name,
                )
            return
        if self._socket is not None:
            return
        self._acted = False
        reading, self._socket = socket.socketpair()
        self._socket.setblocking(False)
        threading.Thread(target=self._watch, args=(reading,), name="opendiag signals", daemon=True).start()
        for number in (getattr(signal, name) for name in _NAMES if hasattr(signal, name)):
            before = signal.getsignal(number)
            if before not in (None, signal.SIG_IGN):
                self._before[number] = before
                signal.signal(number, self._handle)
        other = signal.set_wakeup_fd(self._socket.fileno(), warn_on_full_buffer=False)
        self._woken = other == -1
        if not self._woken:  # an event loop has it: the handler tells the thread
            signal.set_wakeup_fd(other)

    def _uninstall(self) -> None:
        if self._socket is None or threading.current_thread() is not threading.main_thread():
            return
        with self._lock:  # the thread must not send another one after the handlers are gone
            self._late.update(self._pending)
            self._pending.clear()
            for number, before in self._before.items():
                if signal.getsignal(number) == self._handle:
                    signal.signal(number, before)
        if self._woken:
            other = signal.set_wakeup_fd(-1)
            if other not in (-1, self._socket.fileno()):
                signal.set_wakeup_fd(other)
        self._before = {}
        ended, self._socket = self._socket, None
        ended.close()  # which ends the thread

    def _handle(self, number: int, frame: FrameType | None) -> None:
        """In the main thread, anywhere: nothing may be waited for here."""
        before = self._before.get(number, signal.SIG_DFL)
        again = self._acted and any(drives.stopping for drives in self._registered)
        if again or any(drives.busy for drives in self._registered) or _in_between(frame):
            self._pending[number] = before  # noted first: the thread, once told, comes back to what it finds here
            self._tell(number)
            return
        self._pending.pop(number, None)
        self._tell(number)
        self._acted = True  # the next one waits for the end of the rest that this one has begun
        _act(number, frame, before)

    def deliver(self) -> None:
        """What came while the last drives were brought to rest takes its effect now."""
        if self._late and threading.current_thread() is threading.main_thread():
            number, before = self._late.popitem()
            self._late.clear()
            _act(number, None, before)

    def _tell(self, number: int) -> None:
        writing = self._socket
        if writing is not None:
            with contextlib.suppress(OSError):
                writing.send(bytes([number]))

    # --- the thread ---

    def _watch(self, reading: socket.socket) -> None:
        with reading:
            while numbers := reading.recv(64):
                watched = {number for number in numbers if number in self._before}
                for number in watched:
                    self._rest(signal.Signals(number).name)
                while self._pending:
                    time.sleep(_AGAIN_S)
                    with self._lock:
                        for number in tuple(self._pending):
                            _thread.interrupt_main(signal.Signals(number))

    def _rest(self, name: str) -> None:
        for drives in self._registered:
            try:
                drives.begin_rest(name)
            except Exception:  # the others' turn comes all the same
                _LOG.exception("bringing drives to rest after %s", name)


def _in_between(frame: FrameType | None) -> bool:
    """Did it strike our own code, where a lock may just have been taken, or a call be about to be noted?

    That code only ever takes a moment: what waits, waits in functions of others.
    """
    return frame is not None and frame.f_code.co_filename.startswith(_OURS)


def _act(number: int, frame: FrameType | None, before: Any) -> None:
    """What the signal would have done without us, but that the script can clean up."""
    if callable(before):
        before(number, frame)
    else:
        raise SystemExit(128 + number)


SIGNALS = SignalWatch()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=SIGNALS.forked)


def uninterrupted(wait: Callable[[], object]) -> None:
    """Wait to the end. Ctrl-C meanwhile is raised after that."""
    interruption: BaseException | None = None
    while True:
        try:
            wait()
        except (KeyboardInterrupt, SystemExit) as error:
            interruption = error
            continue
        break
    if interruption is not None:
        raise interruption
