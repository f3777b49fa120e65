"""The examples of README and docs are run, and must print what the page says.

A ```console block holds commands after "$ " and what they print, stdout and stderr together. A ```python block must
run.
A line "..." stands for any number of lines. OPENDIAG_UPDATE_DOCS=1 writes what is printed into the pages instead.
"""

from __future__ import annotations

import os
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner

from opendiag.cli import main

ROOT = Path(__file__).resolve().parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(console|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(kind: str) -> list[tuple[str, str]]:
    return [
        (str(page.relative_to(ROOT)), match[2])
        for page in PAGES
        for match in BLOCK.finditer(page.read_text(encoding="utf-8"))
        if match[1] == kind
    ]


def run(line: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Output of one command line, run from the top of the checkout as the pages say."""
    program, *arguments = shlex.split(line)
    assert program == "opendiag", f"only opendiag is run here, not {program}"
    monkeypatch.setattr("sys.argv", ["opendiag", *arguments])
    outcome = CliRunner().invoke(_Main(), arguments)  # type: ignore[arg-type]
    return outcome.output


class _Main:
    """`main` for click's runner: errors become sentences and exit codes as in a shell."""

    name = "opendiag"

    def main(self, args: list[str], prog_name: str, **extra: object) -> None:
        main(list(args))


def executed(block: str, monkeypatch: pytest.MonkeyPatch) -> str:
    lines = []
    for line in block.splitlines():
        if line.startswith("$ "):
            lines += [line, *run(line[2:], monkeypatch).rstrip("\n").splitlines()]
    return "\n".join(lines) + "\n"


def same(expected: str, printed: str) -> bool:
    parts = [re.escape(part) for part in re.split(r"^\.\.\.\n", expected, flags=re.MULTILINE)]
    return re.fullmatch("(?:.*\n)*?".join(parts), printed) is not None


@pytest.mark.parametrize(("page", "block"), blocks("console"))
def test_commands_print_what_the_page_says(page: str, block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    printed = executed(block, monkeypatch)
    if os.environ.get("OPENDIAG_UPDATE_DOCS") and "\n...\n" not in block:
        path = ROOT / page
        path.write_text(path.read_text(encoding="utf-8").replace(block, printed), encoding="utf-8")
        return
    assert same(block, printed), f"{page} shows\n{block}\nbut this is printed\n{printed}"


@pytest.mark.parametrize(("page", "block"), blocks("python"))
def test_python_blocks_run(page: str, block: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    exec(compile(block, page, "exec"), {"__name__": "__docs__"})  # the pages' own code: that is the test


def test_pages_have_examples_at_all() -> None:
    assert len(blocks("console")) >= 5
    assert blocks("python")


def test_a_wrong_page_is_noticed() -> None:
    assert same("$ a\n...\nb\n", "$ a\nx\ny\nb\n")
    assert not same("$ a\nc\n", "$ a\nb\n")
