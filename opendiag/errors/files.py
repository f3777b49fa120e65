"""Errors about object dictionaries and captures."""

from __future__ import annotations

from collections.abc import Sequence

from opendiag.errors.base import OpenDiagError
from opendiag.findings import Finding


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


class SequenceError(OpenDiagError, ValueError):
    """A sequence of motions that is not carried out: nothing was sent.

    ``problems`` are all that were found, in the order of the file, each with its line (None: that of no line).
    """

    def __init__(self, file: str, problems: Sequence[tuple[int | None, str]]) -> None:
        super().__init__(file, tuple(problems))
        self.file = file
        self.problems = tuple(problems)

    @property
    def lines(self) -> tuple[str, ...]:
        """A sentence for each problem, as in "turn.yaml:7: ..."."""
        return tuple(
            f"{self.file}: {text}" if line is None else f"{self.file}:{line}: {text}" for line, text in self.problems
        )

    def __str__(self) -> str:
        return f"{'; '.join(self.lines)}; nothing was sent"
