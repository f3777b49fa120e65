"""Lets the tests of this directory import `sdo_talk` and `devices`, which several of them share."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).parent))
