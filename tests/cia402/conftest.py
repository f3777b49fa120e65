"""Lets the tests of this directory import `safety_world`, which several of them share."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
