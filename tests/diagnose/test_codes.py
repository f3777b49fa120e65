"""Every code is in the reference, and the reference has no other."""

import re
from pathlib import Path

from opendiag.diagnose import codes

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "why-no-answer.md"


def test_the_page_lists_each_code_with_its_meaning():
    listed = re.findall(r"^\| `([A-Z-]+)` \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    declared = [value for name, value in vars(codes).items() if name.isupper()]
    assert sorted(listed) == sorted(declared)
    assert len(set(declared)) == len(declared)
