"""SocketCAN as the kernel has it: each scene of socketcan_scene.py, all of them in one boot of the lab."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

SCENE = Path(__file__).with_name("socketcan_scene.py")
SCENES = re.findall(r"^def (\w+)\(\):\n    \"\"\"(.*)\"\"\"", SCENE.read_text("utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def printed(lab) -> str:
    done = lab(sys.executable, str(SCENE), *(name for name, _ in SCENES), timeout_s=120)
    return done.stdout + done.stderr


@pytest.mark.lab
@pytest.mark.parametrize("scene", [name for name, _ in SCENES])
def test_scene(printed: str, scene: str) -> None:
    if found := re.search(rf"^{scene}: not here: (.*)", printed, re.MULTILINE):
        pytest.skip(found[1])
    assert f"{scene}: as it should be\n" in printed, printed


def test_there_are_scenes() -> None:
    assert len(SCENES) > 8
