"""Our commands beside candump, cangen and cansend: each scene of can_utils_scene.py, all in one boot of the lab."""

from __future__ import annotations

import re
import shutil
import sys
from pathlib import Path

import pytest

SCENE = Path(__file__).with_name("can_utils_scene.py")
SCENES = re.findall(r"^def (\w+)\(\):\n    \"\"\".*\"\"\"", SCENE.read_text("utf-8"), re.MULTILINE)


@pytest.fixture(scope="module")
def printed(lab) -> str:
    if shutil.which("candump") is None:
        pytest.skip("can-utils are not installed here")
    done = lab(sys.executable, str(SCENE), *SCENES, timeout_s=240)
    return done.stdout + done.stderr


@pytest.mark.lab
@pytest.mark.parametrize("scene", SCENES)
def test_scene(printed: str, scene: str) -> None:
    if found := re.search(rf"^{scene}: not here: (.*)", printed, re.MULTILINE):
        pytest.skip(found[1])
    assert f"{scene}: as it should be\n" in printed, printed


def test_there_are_scenes() -> None:
    assert len(SCENES) >= 6
