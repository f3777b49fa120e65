"""Questions to an SLCAN adapter whose channel is closed: which one it is, and how its channel is opened."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass

import can

from opendiag.adapters.bus import wrong_option
from opendiag.adapters.serial_line import SerialLine
from opendiag.adapters.slcan_dialect import Dialect, Settings, Step, recognise, steps, ways_to_open

#: An adapter that answers at all does so within this.
ANSWER_S = 0.2
_QUIET_S = 0.03
#: After a command to an adapter that does not say when it is done.
_PAUSE_S = 0.01
#: A refusal (BEL), and no answer.
REFUSED, SILENCE = "\a", None
_END = re.compile(rb"[\r\x07]")
_TEXT = re.compile(rb"[\t\n\x20-\x7e]+")
_FRAME = re.compile(rb"[tTrRdDbBx][0-9A-Fa-f]{4,}")


@dataclass(frozen=True)
class Identity:
    """What an adapter said: "" for what it did not answer. ``replies``: it answers commands with CR or BEL."""

    dialect: Dialect
    replies: bool
    version: str = ""
    detail: str = ""
    serial_number: str = ""


class Talk:
    """Not while a `Reader` reads the line. ``rest`` is what came after the last answer."""

    def __init__(self, line: SerialLine) -> None:
        self.rest = b""
        self._line = line

    def close_channel(self) -> bool:
        """Whether the adapter answers. Nothing comes from its bus any more.

        Raise can.CanOperationError when it cannot be made to stop.
        """
        # The first C ends whatever half a line was left in the adapter. Not empty lines: at those CANable's
        # firmware sends its last frame once more.
        self._line.write(b"C\rC\rC\r")
        answers, until = 0, time.monotonic() + ANSWER_S
        while answers < 3 and time.monotonic() < until:
            for line, end in self._lines(until - time.monotonic()):
                answers += not line or end == b"\a"
        last = time.monotonic() + 2.0
        while self._line.read(_QUIET_S):
            if time.monotonic() > last:
                raise can.CanOperationError(f"{self._line.port} keeps sending with its channel closed: is it SLCAN?")
        self.rest = b""
        return answers > 0

    def command(self, command: str, wait_s: float = ANSWER_S) -> str | None:
        """An empty text when it was done, `REFUSED`, or `SILENCE`."""
        return self._ask(command, wait_s, text=False)

    def question(self, command: str, wait_s: float = ANSWER_S) -> str:
        """The text that answers it, "" for none."""
        answer = self._ask(command, wait_s, text=True)
        return "" if answer in (None, REFUSED) else str(answer)

    def identify(self, wanted: Dialect | None) -> Identity:
        """Closes the channel and asks who it is. With ``wanted`` it is taken for that one."""
        replies = self.close_channel()
        if wanted is not None:
            version = self.question("V") if replies or wanted.name != "cantact" else ""
            return Identity(wanted, replies, version)
        version = self.question("V")
        detail = serial_number = ""
        if replies:
            serial_number = self.question("N")
            if re.fullmatch("V[0-9A-Fa-f]{4}.*", version):
                detail = self.question("v")
        return Identity(recognise(replies, version, detail), replies, version, detail, serial_number)

    def open_channel(self, dialect: Dialect, settings: Settings) -> str:
        """The command for time stamps that was taken, "" for none. What comes from the bus at once is in `rest`.

        Raise can.CanInitializationError.
        """
        try:
            todo = list(steps(dialect, settings))
        except ValueError as error:
            raise wrong_option(f"{self._line.port}: {error}") from None
        for step in todo:
            self._do(dialect, step)
        stamps = self._set_stamps(dialect, settings.stamps)
        tries = ways_to_open(dialect, settings.listen_only)
        for commands in tries:
            if all(self._done(dialect, command) for command in commands):
                return stamps
        how = " listen-only" if settings.listen_only else ""
        refused = " nor ".join(" ".join(commands) for commands in tries)
        raise can.CanInitializationError(
            f"{self._line.port}: {dialect.what} does not open its channel{how}: it refused {refused}"
        )

    def _set_stamps(self, dialect: Dialect, wanted: bool) -> str:
        if not dialect.stamps:
            return ""
        for command in dialect.stamps if wanted else ():
            if self.command(command) == "":
                return command
        self.command("Z0")
        return ""

    def _do(self, dialect: Dialect, step: Step) -> None:
        if self._done(dialect, step.command) or not step.refused:
            return
        raise can.CanInitializationError(f"{self._line.port}: {step.refused} by {dialect.what}")

    def _done(self, dialect: Dialect, command: str) -> bool:
        """Raise can.CanInitializationError for silence where there should be an answer."""
        if not dialect.replies:
            self._line.write(command.encode() + b"\r")
            time.sleep(_PAUSE_S)
            return True
        answer = self.command(command, 1.0)
        if answer is None:
            raise can.CanInitializationError(
                f"{self._line.port}: no answer to {command} from {dialect.what}; try dialect=canable or dialect=cantact"
            )
        return answer != REFUSED

    def _ask(self, command: str, wait_s: float, text: bool) -> str | None:
        self._line.drop_input()
        self.rest = b""
        self._line.write(command.encode() + b"\r")
        until = time.monotonic() + wait_s
        while (left := until - time.monotonic()) > 0:
            for line, end in self._lines(left):
                if end == b"\a":
                    return REFUSED
                if bool(line) == text and not _FRAME.fullmatch(line) and (not line or _TEXT.fullmatch(line)):
                    return line.decode("ascii").strip()
        return SILENCE

    def _lines(self, wait_s: float) -> list[tuple[bytes, bytes]]:
        """At most one line, and how it ended; the rest stays for the next time."""
        if not _END.search(self.rest):
            self.rest = (self.rest + self._line.read(min(max(wait_s, 0.001), 0.1)))[-4096:]
        found = _END.search(self.rest)
        if not found:
            return []
        line, self.rest = self.rest[: found.start()], self.rest[found.end() :]
        return [(line, found[0])]
