"""Object dictionaries by name, by path, and by the identity a device reports in 1018h."""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from pathlib import Path

from opendiag.dictionary import eds
from opendiag.dictionary.eds_device import Identity, read_identity
from opendiag.dictionary.model import ObjectDictionary
from opendiag.errors import DictionaryFileError, UnknownDictionary
from opendiag.findings import Finding, Severity
from opendiag.resources import bundled_path

_SUFFIX = ".eds"
_UTF_16_MARKS = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)


def bundled_names() -> list[str]:
    """Names `load` knows without a file, in order."""
    return sorted(_bundled_files())


def _bundled_files() -> dict[str, Path]:
    try:
        directory = bundled_path("eds")
    except FileNotFoundError:
        return {}
    return {path.stem.lower(): path for path in _eds_files(directory)}


def _eds_files(directory: Path) -> list[Path]:
    return sorted(path for path in directory.iterdir() if path.suffix.lower() == _SUFFIX and path.is_file())


def load(name_or_path: str | Path) -> ObjectDictionary:
    """Read an EDS or DCF by path, or a bundled one by name ("stepim", "StepIM.eds").

    A path that exists comes before a bundled name. Raises UnknownDictionary when there is neither, and
    DictionaryFileError for a directory, for what cannot be read, and for what is no EDS.
    """
    name = str(name_or_path)
    path = Path(name_or_path)
    if _exists(path):
        return _load_file(path, name)
    bundled = _bundled_files()
    key = name.lower().removesuffix(_SUFFIX)
    if key not in bundled:
        raise UnknownDictionary(name, sorted(bundled))
    return _load_file(bundled[key], key)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long for the system, or with a zero byte: certainly no file
        return False


def _load_file(path: Path, name: str) -> ObjectDictionary:
    text, findings = _read_text(path, name)
    dictionary = eds.parse(text, name)
    dictionary.findings[:0] = findings
    return dictionary


def _read_text(path: Path, name: str) -> tuple[str, list[Finding]]:
    """Read the text of a file, and what its encoding gave reason to note. Raise DictionaryFileError."""
    if path.is_dir():
        raise DictionaryFileError(name, None, "this is a directory, not an EDS file")
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise DictionaryFileError(name, None, f"cannot be read: {error.strerror or error}") from error
    return _decode(raw, name)


def _decode(raw: bytes, name: str) -> tuple[str, list[Finding]]:
    if raw.startswith(_UTF_16_MARKS):
        try:
            return raw.decode("utf-16"), []
        except UnicodeDecodeError as error:
            raise DictionaryFileError(name, None, f"not UTF-16, though it begins like it: {error.reason}") from error
    if b"\0" in raw:
        raise DictionaryFileError(name, None, "not a text file (it contains zero bytes)")
    try:
        return raw.decode("utf-8-sig"), []
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        return raw.decode("cp1252", "replace"), [_not_utf_8(raw, error.start, name, line)]


def _not_utf_8(raw: bytes, start: int, name: str, line: int) -> Finding:
    evidence = f"byte {raw[start]:02X}h"
    assumed = "read as Windows-1252"
    return Finding("eds-encoding", Severity.INFO, "not UTF-8", name, line, evidence, assumed)


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: Path
    name: str
    identity: Identity


class Library:
    """The EDS files of a directory, and the bundled ones behind them, found by a device's identity.

    The directory is listed at once and each file's [DeviceInfo] read at the first `find`; a whole file is read
    when a device matches it, and once only. ``findings`` says which files had to be left out.

    Raises DictionaryFileError when the directory does not exist or holds no EDS.
    """

    def __init__(self, directory: str | Path | None = None) -> None:
        self.findings: list[Finding] = []
        self._files = [] if directory is None else [(path, str(path)) for path in _files_of(Path(directory))]
        self._files += [(path, name) for name, path in sorted(_bundled_files().items())]
        self._candidates: list[_Candidate] | None = None
        self._loaded: dict[Path, ObjectDictionary | None] = {}

    def find(self, vendor_id: int, product_code: int, revision: int | None = None) -> ObjectDictionary | None:
        """Find the dictionary of this vendor and product: of this revision, else the highest one there is.

        Between equals the directory's files come before the bundled ones. None when no file fits.
        """
        if self._candidates is None:
            self._candidates = [found for path, name in self._files if (found := self._identify(path, name))]
        fitting = [c for c in self._candidates if c.identity[:2] == (vendor_id, product_code)]
        fitting.sort(key=lambda candidate: _rank(candidate.identity.revision, revision))
        for candidate in fitting:
            if (dictionary := self._load(candidate)) is not None:
                return dictionary
        return None

    def _identify(self, path: Path, name: str) -> _Candidate | None:
        try:
            text, _ = _read_text(path, name)
        except DictionaryFileError as error:
            self._leave_out(error)
            return None
        return _Candidate(path, name, read_identity(text))

    def _load(self, candidate: _Candidate) -> ObjectDictionary | None:
        if candidate.path not in self._loaded:
            try:
                self._loaded[candidate.path] = _load_file(candidate.path, candidate.name)
            except DictionaryFileError as error:
                self._leave_out(error)
                self._loaded[candidate.path] = None
        return self._loaded[candidate.path]

    def _leave_out(self, error: DictionaryFileError) -> None:
        finding = Finding("eds-unusable", Severity.ERROR, error.reason, error.file, error.line, "", "left out")
        self.findings.append(finding)


def _rank(have: int | None, wanted: int | None) -> tuple[bool, int]:
    """Smallest for the best revision."""
    return have is None or have != wanted, -1 if have is None else -1 - have


def _files_of(directory: Path) -> list[Path]:
    try:
        files = _eds_files(directory)
    except OSError as error:
        reason = f"cannot be used as a directory of EDS files: {error.strerror or error}"
        raise DictionaryFileError(str(directory), None, reason) from error
    if not files:
        raise DictionaryFileError(str(directory), None, "no EDS file (*.eds) in this directory")
    return files
