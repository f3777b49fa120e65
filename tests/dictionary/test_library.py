"""opendiag.dictionary.library and opendiag.resources: dictionaries by name, path and identity."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from opendiag import dictionary, resources
from opendiag.dictionary import Library, bundled_names, eds_write, load
from opendiag.dictionary import library as library_module
from opendiag.errors import DictionaryFileError, DictionaryFindings, UnknownDictionary
from opendiag.findings import Severity


def eds(vendor="0x2E1", product="0xA5A5", revision="0", name="Mine"):
    return (
        f"[DeviceInfo]\nVendorNumber={vendor}\nProductNumber={product}\nRevisionNumber={revision}\n"
        "[ManufacturerObjects]\nSupportedObjects=1\n1=0x2000\n"
        f"[2000]\nParameterName={name}\nObjectType=7\nDataType=5\nAccessType=ro\n"
    )


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


# --- load ----------------------------------------------------------------------------------------------------


def test_the_stepim_is_bundled():
    assert "stepim" in bundled_names()
    assert bundled_names() == sorted(bundled_names())


@pytest.mark.parametrize("name", ["stepim", "StepIM", "STEPIM.EDS", "stepim.eds"])
def test_bundled_by_name(name, here):
    loaded = load(name)
    assert loaded.name == "stepim"
    assert loaded.device.product_code == 0xA5A5


@pytest.mark.parametrize("as_type", [str, lambda path: path], ids=["str", "Path"])
def test_by_path(as_type, tmp_path):
    path = tmp_path / "mine.EDS"
    path.write_text(eds())
    loaded = load(as_type(path))
    assert loaded.name == str(path)
    assert loaded[0x2000, 0].name == "Mine"
    assert not loaded.findings


def test_a_file_comes_before_a_bundled_name(here):
    (here / "stepim").write_text(eds(name="Local"))
    assert load("stepim")[0x2000, 0].name == "Local"
    assert 0x6041 in load("stepim.eds").objects


@pytest.mark.parametrize("name", ["no-such", "dir/no-such.eds", "x" * 5000, "a\0b"])
def test_neither_file_nor_bundled(name, here):
    with pytest.raises(UnknownDictionary) as caught:
        load(name)
    assert caught.value.bundled == tuple(bundled_names())
    assert "stepim" in str(caught.value)


def test_a_directory(tmp_path):
    with pytest.raises(DictionaryFileError, match="directory"):
        load(tmp_path)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may read every file")
def test_a_file_without_permission(tmp_path):
    path = tmp_path / "secret.eds"
    path.write_text(eds())
    path.chmod(0)
    with pytest.raises(DictionaryFileError, match="cannot be read"):
        load(path)


def test_a_file_that_fails_while_read(tmp_path, monkeypatch):
    path = tmp_path / "gone.eds"
    path.write_text(eds())

    def fail(self):
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(library_module.Path, "read_bytes", fail)
    with pytest.raises(DictionaryFileError, match=r"gone\.eds: cannot be read: Input/output error"):
        load(path)


@pytest.mark.parametrize("raw", [b"\x7fELF\0\0\0", b"\xff\xfe\x00", b""])
def test_what_is_no_text_is_no_eds(raw, tmp_path):
    path = tmp_path / "binary.eds"
    path.write_bytes(raw)
    with pytest.raises(DictionaryFileError) as caught:
        load(path)
    assert caught.value.file == str(path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings_that_need_no_remark(encoding, tmp_path):
    path = tmp_path / "mine.eds"
    path.write_bytes(eds(name="Größe °C").encode(encoding))
    loaded = load(path)
    assert loaded[0x2000, 0].name == "Größe °C"
    assert not loaded.findings


def test_an_old_windows_file(tmp_path):
    path = tmp_path / "mine.eds"
    path.write_bytes(eds(name="Größe °C").encode("cp1252"))
    loaded = load(path)
    assert loaded[0x2000, 0].name == "Größe °C"
    (finding,) = loaded.findings
    assert (finding.code, finding.line, finding.evidence) == ("eds-encoding", 9, "byte F6h")


# --- Library -------------------------------------------------------------------------------------------------


def write(directory, **files):
    for name, text in files.items():
        (directory / f"{name}.eds").write_text(text, "utf-8")
    return Library(directory)


def test_finds_by_identity(tmp_path):
    library = write(tmp_path, a=eds(product="1", name="One"), b=eds(product="2", name="Two"))
    assert library.find(0x2E1, 2)[0x2000, 0].name == "Two"
    assert library.find(0x2E1, 3) is None
    assert library.find(0x2E2, 2) is None


def test_the_exact_revision_else_the_highest(tmp_path):
    files = {f"r{number}": eds(product="7", revision=str(number), name=f"r{number}") for number in (1, 12, 5)}
    library = write(tmp_path, **files, none=eds(product="7", revision="", name="none"))
    found = {wanted: library.find(0x2E1, 7, wanted)[0x2000, 0].name for wanted in (None, 1, 5, 3, 99)}
    assert found == {None: "r12", 1: "r1", 5: "r5", 3: "r12", 99: "r12"}


def test_without_revision_is_better_than_nothing(tmp_path):
    library = write(tmp_path, none=eds(product="7", revision="", name="none"))
    assert library.find(0x2E1, 7, 1)[0x2000, 0].name == "none"


def test_bundled_files_stand_behind_the_directory(tmp_path):
    library = write(tmp_path, other=eds(product="9"))
    assert library.find(0x2E1, 0xA5A5).name == "stepim"
    assert Library(None).find(0x2E1, 0xA5A5, 0).name == "stepim"
    own = write(tmp_path, mine=eds(name="Mine"))
    assert own.find(0x2E1, 0xA5A5)[0x2000, 0].name == "Mine"


def test_reads_identities_once_and_whole_files_only_when_they_match(tmp_path, monkeypatch):
    library = write(tmp_path, a=eds(product="1"), b=eds(product="2"))
    read, parsed = [], []
    read_file, parse = library_module._read, library_module.eds.parse
    monkeypatch.setattr(library_module, "_read", lambda path, name: read.append(path.name) or read_file(path, name))
    monkeypatch.setattr(
        library_module.eds, "parse", lambda text, name, **more: parsed.append(name) or parse(text, name, **more)
    )
    assert library.find(0x2E1, 99) is None
    assert read[:2] == ["a.eds", "b.eds"] and not parsed
    first = library.find(0x2E1, 2)
    assert library.find(0x2E1, 2) is first
    assert parsed == [str(tmp_path / "b.eds")]
    assert read.count("a.eds") == 1


def test_identity_is_read_wherever_it_stands_and_however_written(tmp_path):
    head, tail = eds(product="0x11").split("[Manu")
    text = "[FileInfo]\nVendorNumber=9\n[Manu" + tail + head.replace("[DeviceInfo]", "[ DEVICEINFO ]").upper()
    assert write(tmp_path, late=text).find(0x2E1, 0x11) is not None


def test_identity_behind_a_byte_order_mark(tmp_path):
    assert write(tmp_path, marked="\ufeff" + eds(product="0x12")).find(0x2E1, 0x12) is not None


def test_a_bad_file_does_not_hide_the_good_ones(tmp_path):
    (tmp_path / "binary.eds").write_bytes(b"\0\1\2")
    hollow = "[DeviceInfo]\nVendorNumber=0x2E1\nProductNumber=5\nRevisionNumber=9\n"
    library = write(tmp_path, hollow=hollow, good=eds(product="5", name="Good"))
    assert library.find(0x2E1, 5)[0x2000, 0].name == "Good"
    assert library.find(0x2E1, 5)[0x2000, 0].name == "Good"
    assert [(f.code, f.severity, f.file) for f in library.findings] == [
        ("eds-unusable", Severity.ERROR, str(tmp_path / "binary.eds")),
        ("eds-unusable", Severity.ERROR, str(tmp_path / "hollow.eds")),
    ]


def test_only_eds_files_count(tmp_path):
    (tmp_path / "configured.dcf").write_text(eds(product="5"))
    (tmp_path / "folder.eds").mkdir()
    with pytest.raises(DictionaryFileError, match=r"no device file \(\*\.eds, \*\.xdd\)"):
        Library(tmp_path)


@pytest.mark.parametrize("name", ["missing", "file.eds"])
def test_a_directory_that_is_none(name, tmp_path):
    (tmp_path / "file.eds").write_text(eds())
    with pytest.raises(DictionaryFileError, match="cannot be used as a directory"):
        Library(tmp_path / name)


# --- resources and imports -----------------------------------------------------------------------------------


def test_bundled_paths():
    assert (resources.bundled_path("eds") / "stepim.eds").is_file()
    with pytest.raises(ValueError, match=r"'nothing' is not bundled; there are eds, stepim\.log"):
        resources.bundled_path("nothing")


def test_an_installed_package_has_them_inside(tmp_path, monkeypatch):
    package = tmp_path / "site-packages" / "opendiag"
    package.mkdir(parents=True)
    monkeypatch.setattr(resources, "__file__", str(package / "resources.py"))
    with pytest.raises(FileNotFoundError, match="lacks eds"):
        resources.bundled_path("eds")
    assert bundled_names() == []
    (package / "_bundled" / "eds").mkdir(parents=True)
    (package / "_bundled" / "eds" / "Other.eds").write_text(eds(name="Inside"))
    assert resources.bundled_path("eds") == package / "_bundled" / "eds"
    assert bundled_names() == ["other"]
    assert load("other")[0x2000, 0].name == "Inside"


def test_importing_the_package_loads_next_to_nothing():
    code = (
        "import sys, opendiag; before = set(sys.modules); import opendiag.dictionary; print(*set(sys.modules) - before)"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    loaded = set(run.stdout.split())
    assert {name for name in loaded if name.startswith("opendiag")} == {"opendiag.dictionary"}
    assert not loaded & {"csv", "json", "pathlib", "configparser", "dataclasses", "canopen", "can"}


def test_every_public_name_is_there():
    for name in dictionary.__all__:
        assert getattr(dictionary, name) is not None
    assert set(dictionary.__all__) <= set(dir(dictionary))
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = dictionary.nothing


@pytest.mark.parametrize(("encoding", "name"), [("cp1252", "Größe °C"), ("cp850", "Größe °C"), ("cp850", "µs für Ä")])
def test_code_pages_are_told_apart_by_their_letters(encoding, name, tmp_path):
    path = tmp_path / "mine.eds"
    path.write_bytes(eds(name=name).encode(encoding))
    loaded = load(path)
    assert loaded[0x2000, 0].name == name
    assert [finding.code for finding in loaded.findings] == ["eds-encoding"]
    assert loaded.document.encoding == encoding


def test_strict_makes_one_error_of_all_findings(tmp_path):
    path = tmp_path / "mine.eds"
    path.write_text(eds(name="").replace("AccessType=", "AccessType=sometimes;"))
    found = [finding for finding in load(path).findings if finding.severity >= Severity.WARNING]
    assert len(found) > 1
    with pytest.raises(DictionaryFindings) as caught:
        load(path, strict=True)
    assert caught.value.findings == tuple(found)
    assert all(f":{finding.line}: " in str(caught.value) for finding in found)
    assert load(path, strict=Severity.ERROR).findings == load(path).findings


def test_a_byte_that_windows_has_no_sign_for_comes_back_as_it_was(tmp_path):
    raw = eds(name="Größe").encode("cp1252").replace("ß".encode("cp1252"), b"\xdf\x90\x81")
    path = tmp_path / "a.eds"
    path.write_bytes(raw)
    loaded = load(path)
    assert "\ufffd" not in loaded.document.text
    eds_write.write(loaded, tmp_path / "b.eds")
    assert (tmp_path / "b.eds").read_bytes() == raw


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252"])
def test_zero_bytes_behind_the_text_are_no_reason_to_refuse_it(encoding, tmp_path):
    path = tmp_path / "a.eds"
    text = eds(name="Größe")
    path.write_bytes(text.encode(encoding) + bytes(512))
    loaded = load(path)
    assert loaded.document.text == text
    last = loaded.findings[-1] if encoding == "utf-8" else loaded.findings[1]
    assert (last.code, last.severity, last.sentence) == (
        "eds-encoding",
        Severity.WARNING,
        "512 zero bytes behind the text",
    )
    assert last.line == text.count("\n") + 1
    path.write_bytes(text.encode("utf-8").replace(b"\n", b"\0\n", 1) + bytes(512))
    with pytest.raises(DictionaryFileError, match="zero bytes"):
        load(path)


def test_no_module_takes_the_place_of_a_public_name():
    modules = {path.stem for path in Path(dictionary.__file__).parent.glob("*.py")}
    assert not modules & set(dictionary.__all__)
