"""Every code an adapter reports is in the reference, and the reference has no other."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_lists_each_code():
    page = (ROOT / "docs" / "reference" / "adapter-findings.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `(adapter-[a-z-]+)` \|", page, re.MULTILINE)
    sources = (ROOT / "opendiag" / "adapters").glob("*.py")
    used = {code for file in sources for code in re.findall(r'"(adapter-[a-z-]+)"', file.read_text(encoding="utf-8"))}
    assert sorted(listed) == sorted(used)
