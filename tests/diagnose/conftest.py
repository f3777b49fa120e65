"""Lets the tests of this directory import `safety_world`, which the tests of drives share."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parents[1] / "cia402"))
