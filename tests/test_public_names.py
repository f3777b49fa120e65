"""`import opendiag` gives the names it promises, and loads little."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import opendiag


@pytest.mark.parametrize("name", opendiag.__all__)
def test_every_public_name_is_there(name: str) -> None:
    assert getattr(opendiag, name) is not None
    assert name in dir(opendiag)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        opendiag.nonsense  # noqa: B018


def test_import_loads_no_driver_and_no_numpy() -> None:
    code = (
        "import opendiag, sys; sys.exit([m for m in ('can', 'numpy', 'click', 'rich', 'usb') if m in sys.modules] or 0)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_open_log_takes_dictionaries_by_name_and_refuses_a_wrong_node() -> None:
    capture = Path(__file__).resolve().parent.parent / "examples" / "stepim.log"
    records = list(opendiag.open_log(capture, dictionaries={101: "stepim"}))
    assert [record.value for record in records] == [5872, 219, 6192612, 0x227, 0x227, None]
    with pytest.raises(ValueError, match="node-ID 128 is outside"):
        opendiag.open_log(capture, dictionaries={128: "stepim"})


def test_a_capture_can_be_left_early() -> None:
    capture = Path(__file__).resolve().parent.parent / "examples" / "stepim.log"
    with opendiag.open_log(capture) as opened:
        assert next(iter(opened)).service == "tpdo"
    opened.close()


def test_a_decoder_says_what_it_was_given_wrong() -> None:
    with pytest.raises(ValueError, match="node-ID 0 is outside"):
        opendiag.Decoder({0: opendiag.load("stepim")})
    with pytest.raises(TypeError, match="expected an ObjectDictionary"):
        opendiag.Decoder({5: "stepim"})  # type: ignore[dict-item]
