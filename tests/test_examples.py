"""The examples run as they are, from anywhere."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLES = sorted((Path(__file__).resolve().parent.parent / "examples").glob("[0-9]*.py"))


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda path: path.name)
def test_example_runs(example: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(example)], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout


def test_the_first_example_decodes_the_capture(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, str(EXAMPLES[0])], capture_output=True, text=True, timeout=60, check=True)
    assert "node 101 sdo.read  6078:00 Current Actual Value: 219 mA" in done.stdout.splitlines()
    assert "606C:00 Velocity Actual Value: no answer before the capture ends" in done.stdout
