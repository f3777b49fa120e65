"""Every exception opendiag raises, in one tree.

    OpenDiagError
    ├── WireError (ValueError)                 bytes that are not what the standard says they are
    ├── DictionaryError                        something about an object dictionary
    │   ├── DictionaryFileError (ValueError)   a device file that cannot be used: file, line, why
    │   │   └── DictionaryFindings             a device file read strictly: every finding that is not accepted
    │   ├── UnknownDictionary (LookupError)    no file and no bundled dictionary of that name
    │   └── ObjectNotFound (KeyError)          no such object in this dictionary
    ├── LogError                               something about a capture
    │   ├── LogNotFound (FileNotFoundError)    no such file, or it cannot be read
    │   ├── LogExists (FileExistsError)        it would be overwritten
    │   ├── LogNotWritten (OSError)            it cannot be written, or not in this format
    │   ├── NotALog (ValueError)               a file without a single frame in a format we know
    │   └── NotALine (ValueError)              a text that should be one frame and is none
    ├── AdapterError                           something about the way to the bus
    │   ├── BadInterface (ValueError)          -i or connect() names what cannot be understood
    │   ├── BadFilter (ValueError)             a filter of frames that cannot be understood
    │   ├── AdapterNotFound (LookupError)      no such adapter, channel or server here
    │   ├── AdapterClosed (ConnectionError)    closed, unplugged or failed while in use
    │   └── SendFailed (OSError)               the adapter did not take a frame: bus-off, listen-only, full
    ├── SdoError                               a transfer that did not come to its end
    │   ├── SdoAborted                         the device (or its client) ended it: the abort code says why
    │   ├── SdoTimeout (TimeoutError)          no answer; ``why`` says what the bus tells about it
    │   ├── SdoProtocolError (ValueError)      an answer that breaks the protocol or lost data
    │   └── SdoCancelled                       ended by the caller
    ├── NotDone (TimeoutError)                 waited for in vain so far; it goes on
    ├── PlanCancelled                          thrown into a plan whose caller, or whose neighbour, gave up
    ├── SdoRefusal                             raised by a device's objects: the server answers with an abort
    ├── ValueRefused (ValueError)              a value the dictionary does not allow; nothing was sent
    ├── BlockingCall (RuntimeError)            a call that waits, made where waiting would never end
    └── MissingDependency (ImportError)        an optional library is not installed

Each carries its facts as fields and writes its own sentence: what failed, what was seen, what to try.
What is odd but not fatal is a `opendiag.findings.Finding`, not an exception.
"""

from __future__ import annotations

from collections.abc import Sequence

from opendiag.findings import Finding


class OpenDiagError(Exception):
    """The root: `except OpenDiagError` catches everything this package raises on purpose."""


class WireError(OpenDiagError, ValueError):
    """Bytes that do not follow the protocol. ``data`` holds them, ``reason`` says what is wrong."""

    def __init__(self, reason: str, data: bytes = b"") -> None:
        super().__init__(reason)
        self.reason = reason
        self.data = data


class DictionaryError(OpenDiagError):
    """Something is wrong with an object dictionary."""


class DictionaryFileError(DictionaryError, ValueError):
    """A device file that cannot be used."""

    def __init__(self, file: str, line: int | None, reason: str) -> None:
        super().__init__(file, line, reason)
        self.file = file
        self.line = line
        self.reason = reason

    def __str__(self) -> str:
        where = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{where}: {self.reason}"


class DictionaryFindings(DictionaryFileError):
    """``findings`` are all that were of the severity asked for, in the order of the file."""

    def __init__(self, file: str, findings: Sequence[Finding]) -> None:
        DictionaryError.__init__(self, file, tuple(findings))
        self.file = file
        self.findings = tuple(findings)
        self.line = findings[0].line
        self.reason = f"{len(findings)} finding{'s' * (len(findings) != 1)} where none is accepted"

    def __str__(self) -> str:
        return f"{self.file}: {self.reason}: " + "; ".join(str(finding).rstrip(".") for finding in self.findings)


class UnknownDictionary(DictionaryError, LookupError):
    """Neither a file nor a bundled dictionary has this name."""

    def __init__(self, name: str, bundled: Sequence[str]) -> None:
        super().__init__(name, tuple(bundled))
        self.name = name
        self.bundled = tuple(bundled)

    def __str__(self) -> str:
        return (
            f"no EDS named {self.name!r}: there is no such file, and the bundled ones are "
            f"{', '.join(self.bundled) or 'none'}"
        )


class ObjectNotFound(DictionaryError, KeyError):
    """The dictionary has no such object."""

    def __init__(self, what: str, dictionary: str) -> None:
        super().__init__(what, dictionary)
        self.what = what
        self.dictionary = dictionary

    def __str__(self) -> str:
        return f"{self.dictionary} has no object {self.what}"


class LogError(OpenDiagError):
    """Something is wrong with a capture file."""


class LogNotFound(LogError, FileNotFoundError):
    """The capture does not exist or cannot be read."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(file, reason)
        self.file = file
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot read {self.file}: {self.reason}"


class LogExists(LogError, FileExistsError):
    """Nothing was written."""

    def __init__(self, file: str) -> None:
        super().__init__(file)
        self.file = file

    def __str__(self) -> str:
        return f"{self.file} is there already and was left as it is"


class LogNotWritten(LogError, OSError):
    """``reason`` says why, or which formats there are."""

    def __init__(self, file: str, reason: str) -> None:
        super().__init__(file, reason)
        self.file = file
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot write {self.file}: {self.reason}"


class NotALog(LogError, ValueError):
    """Not one frame was found. ``lines`` is how many lines were looked at, ``example`` one of them.

    ``lines`` None: it is not even text.
    """

    def __init__(self, file: str, lines: int | None, example: str = "") -> None:
        super().__init__(file, lines, example)
        self.file = file
        self.lines = lines
        self.example = example

    def __str__(self) -> str:
        if self.lines is None:
            return f"{self.file} is not text: expected candump output"
        if not self.lines:
            return f"{self.file} is empty: expected candump output"
        seen = f"; the first line is {self.example!r}" if self.example else ""
        return (
            f"{self.file}: no CAN frame in {self.lines} line{'s' if self.lines != 1 else ''}{seen}; "
            "expected candump output such as 'can0  665   [8]  40 78 60 00 00 00 00 00'"
        )


class NotALine(LogError, ValueError):
    """A text that is no frame; the sentence says what was seen and what was expected."""

    def __init__(self, text: str, reason: str) -> None:
        super().__init__(text, reason)
        self.text = text
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.text!r} is no frame: {self.reason}"


class MissingDependency(OpenDiagError, ImportError):
    """``what`` needs the optional ``library``; ``extra`` is the part of opendiag that brings all it needs, or ""."""

    def __init__(self, what: str, library: str, extra: str = "") -> None:
        super().__init__(what, library, extra)
        self.what = what
        self.library = library
        self.extra = extra

    def __str__(self) -> str:
        install = f"'opendiag[{self.extra}]'" if self.extra else self.library
        return f"{self.what} needs {self.library}: pip install {install}"


class AdapterError(OpenDiagError):
    """Something is wrong with the way to the bus."""


class BadInterface(AdapterError, ValueError):
    """``interface`` as the user wrote it; ``reason`` says what is wrong with it and what is expected."""

    def __init__(self, interface: str, reason: str) -> None:
        super().__init__(interface, reason)
        self.interface = interface
        self.reason = reason

    def __str__(self) -> str:
        return f"interface {self.interface!r}: {self.reason}"


class BadFilter(AdapterError, ValueError):
    """``filter`` as the user wrote it; ``reason`` says which part of it is wrong and what is expected."""

    def __init__(self, filter: str, reason: str) -> None:
        super().__init__(filter, reason)
        self.filter = filter
        self.reason = reason

    def __str__(self) -> str:
        return f"filter {self.filter!r}: {self.reason}"


class AdapterNotFound(AdapterError, LookupError):
    """It is well named, but it is not there or cannot be opened."""

    def __init__(self, interface: str, reason: str) -> None:
        super().__init__(interface, reason)
        self.interface = interface
        self.reason = reason

    def __str__(self) -> str:
        return f"cannot open {self.interface}: {self.reason}"


class AdapterClosed(AdapterError, ConnectionError):
    """No frame will come or go any more."""

    def __init__(self, interface: str, reason: str) -> None:
        super().__init__(interface, reason)
        self.interface = interface
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.interface}: {self.reason}"


class SendFailed(AdapterError, OSError):
    """One frame did not leave; the adapter itself may go on working."""

    def __init__(self, interface: str, reason: str) -> None:
        super().__init__(interface, reason)
        self.interface = interface
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.interface} cannot send: {self.reason}"


class SdoError(OpenDiagError):
    """A transfer that did not come to its end.

    ``action`` is "read" or "write"; ``name`` is the object's name where it is known. ``why`` is what the bus tells of
    the reason, the likeliest cause first; empty where there is nothing to tell or nobody listened.
    """

    def __init__(self, node_id: int, index: int, subindex: int, action: str, *details: object) -> None:
        super().__init__(node_id, index, subindex, action, *details)
        self.node_id = node_id
        self.index = index
        self.subindex = subindex
        self.action = action
        self.name = ""
        self.why: tuple[Finding, ...] = ()

    @property
    def summary(self) -> str:
        """What happened, without why."""
        return f"cannot {self.what}"

    def __str__(self) -> str:
        return ". ".join([self.summary, *(finding.sentence.rstrip(".") for finding in self.why[:1])])

    @property
    def what(self) -> str:
        """As in "read 6041:00 Statusword of node 101"."""
        named = f" {self.name}" if self.name else ""
        return f"{self.action} {self.index:04X}:{self.subindex:02X}{named} of node {self.node_id}"


class SdoAborted(SdoError):
    """``code`` is the abort code, ``text`` its sentence, ``by_client`` that it was we who ended the transfer."""

    def __init__(
        self, node_id: int, index: int, subindex: int, action: str, code: int, text: str, by_client: bool = False
    ) -> None:
        super().__init__(node_id, index, subindex, action, code, text, by_client)
        self.code = code
        self.text = text
        self.by_client = by_client

    @property
    def summary(self) -> str:
        who = "given up" if self.by_client else "refused by the device"
        return f"cannot {self.what}: {who}: {self.text} (abort {self.code >> 16:04X} {self.code & 0xFFFF:04X})"


class SdoTimeout(SdoError, TimeoutError):
    """``waited_s`` is how long the last answer was waited for, ``attempts`` how often the transfer was begun.

    ``may_be_done``: a write whose last message was sent: the device may have executed it, so it is not repeated.
    """

    def __init__(
        self,
        node_id: int,
        index: int,
        subindex: int,
        action: str,
        waited_s: float,
        attempts: int = 1,
        may_be_done: bool = False,
    ) -> None:
        super().__init__(node_id, index, subindex, action, waited_s, attempts, may_be_done)
        self.waited_s = waited_s
        self.attempts = attempts
        self.may_be_done = may_be_done

    @property
    def summary(self) -> str:
        often = f" ({self.attempts} attempts)" if self.attempts > 1 else ""
        parts = [f"cannot {self.what}: no answer within {self.waited_s:g} s{often}"]
        if self.may_be_done:
            parts.append("the device may have executed the write all the same: read the object before writing again")
        return "; ".join(parts)


class SdoProtocolError(SdoError, ValueError):
    """``reason`` says which rule the answer broke. No data are given out."""

    def __init__(self, node_id: int, index: int, subindex: int, action: str, reason: str) -> None:
        super().__init__(node_id, index, subindex, action, reason)
        self.reason = reason

    @property
    def summary(self) -> str:
        return f"cannot {self.what}: {self.reason}"


class SdoCancelled(SdoError):
    """The caller ended it, or closed the network."""

    @property
    def summary(self) -> str:
        return f"cannot {self.what}: cancelled"


class NotDone(OpenDiagError, TimeoutError):
    """What was waited for ``waited_s`` goes on, and may be waited for again."""

    def __init__(self, waited_s: float) -> None:
        super().__init__(waited_s)
        self.waited_s = waited_s

    def __str__(self) -> str:
        return f"not done after {self.waited_s:g} s; it goes on"


class PlanCancelled(OpenDiagError):
    """Thrown into a plan that is to end early, so that it can bring to rest what it moves. ``reason`` says why."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return f"cancelled: {self.reason}"


class SdoRefusal(OpenDiagError):
    """Raised where a device keeps its objects; the SDO server answers with this abort ``code``."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code

    def __str__(self) -> str:
        return f"SDO abort {self.code >> 16:04X} {self.code & 0xFFFF:04X}"


class ValueRefused(OpenDiagError, ValueError):
    """``what`` is the object, ``reason`` says what it takes instead."""

    def __init__(self, what: str, reason: str) -> None:
        super().__init__(what, reason)
        self.what = what
        self.reason = reason

    def __str__(self) -> str:
        return f"{self.what}: {self.reason}; nothing was sent"


class BlockingCall(OpenDiagError, RuntimeError):
    """``call`` waits for the bus, and was made on the thread that must run for the wait to end."""

    def __init__(self, call: str) -> None:
        super().__init__(call)
        self.call = call

    def __str__(self) -> str:
        return f"{self.call} waits for the bus and cannot be called from a callback: hand the work to another thread"
