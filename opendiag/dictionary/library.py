"""Object dictionaries by name, by path, and by the identity a device reports in 1018h."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from opendiag.dictionary import eds, encodings, xdd, xml_tree
from opendiag.dictionary.eds_device import Identity, read_identity
from opendiag.dictionary.model import ObjectDictionary
from opendiag.errors import DictionaryFileError, DictionaryFindings, UnknownDictionary
from opendiag.findings import Finding, Severity
from opendiag.resources import bundled_path

_SUFFIX = ".eds"
#: A DCF or XDC belongs to one device, not to a type.
_TYPE_SUFFIXES = (_SUFFIX, ".xdd")


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


def load(name_or_path: str | Path, *, strict: bool | Severity = False) -> ObjectDictionary:
    """Read a device file (EDS, DCF, XDD, XDC, XPD) by path, or a bundled one by name ("stepim", "StepIM.eds").

    A path that exists comes before a bundled name. What the file is, its content decides. ``strict`` makes an error of
    the findings: of that severity and above, True means warnings.

    Raises UnknownDictionary when there is neither, DictionaryFileError for a directory, for what cannot be read, and
    for what is no device file; with ``strict`` DictionaryFindings.
    """
    name = str(name_or_path)
    path = Path(name_or_path)
    if not _exists(path):
        bundled = _bundled_files()
        key = name.lower().removesuffix(_SUFFIX)
        if key not in bundled:
            raise UnknownDictionary(name, sorted(bundled))
        name, path = key, bundled[key]
    return load_bytes(_read(path, name), name, strict=strict)


def load_bytes(raw: bytes, name: str, *, strict: bool | Severity = False) -> ObjectDictionary:
    """Like `load`, for the bytes of a file that are already at hand; ``name`` is what to call it."""
    dictionary = _parsed(raw, name)
    least = Severity.WARNING if strict is True else strict
    if least:
        found = [finding for finding in dictionary.findings if finding.severity >= least]
        if found:
            raise DictionaryFindings(name, found)
    return dictionary


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except (OSError, ValueError):  # a name too long for the system, or with a zero byte: certainly no file
        return False


def _parsed(raw: bytes, name: str) -> ObjectDictionary:
    if xml_tree.is_xml(raw):
        return xdd.parse_xml(raw, name)
    text, encoding, findings = encodings.decode(raw, name)
    dictionary = eds.parse(text, name, encoding=encoding)
    dictionary.findings[:0] = findings
    return dictionary


def _read(path: Path, name: str) -> bytes:
    """Raise DictionaryFileError."""
    if path.is_dir():
        raise DictionaryFileError(name, None, "this is a directory, not a device file")
    try:
        return path.read_bytes()
    except OSError as error:
        raise DictionaryFileError(name, None, f"cannot be read: {error.strerror or error}") from error


@dataclass(frozen=True, slots=True)
class _Candidate:
    path: Path
    name: str
    identity: Identity


class Library:
    """The EDS and XDD files of a directory, and the bundled ones behind them, found by a device's identity.

    The directory is listed at once and each file's identity read at the first `find`; a whole file is read
    when a device matches it, and once only. ``findings`` says which files had to be left out.

    Raises DictionaryFileError when the directory does not exist or holds neither *.eds nor *.xdd.
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
            raw = _read(path, name)
            if xml_tree.is_xml(raw):
                return _Candidate(path, name, xdd.read_identity(raw, name))
            return _Candidate(path, name, read_identity(encodings.decode(raw, name)[0]))
        except DictionaryFileError as error:
            self._leave_out(error)
            return None

    def _load(self, candidate: _Candidate) -> ObjectDictionary | None:
        if candidate.path not in self._loaded:
            try:
                self._loaded[candidate.path] = _parsed(_read(candidate.path, candidate.name), candidate.name)
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
        files = sorted(path for path in directory.iterdir() if path.suffix.lower() in _TYPE_SUFFIXES and path.is_file())
    except OSError as error:
        reason = f"cannot be used as a directory of device files: {error.strerror or error}"
        raise DictionaryFileError(str(directory), None, reason) from error
    if not files:
        raise DictionaryFileError(str(directory), None, "no device file (*.eds, *.xdd) in this directory")
    return files
