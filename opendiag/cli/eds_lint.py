"""`opendiag eds lint`: what is wrong with device files, with line numbers."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from typing import Any

import click

from opendiag.cli import EXIT_FINDINGS, EXIT_USAGE, output
from opendiag.cli.device_files import node_option, read
from opendiag.errors import DictionaryError
from opendiag.findings import Finding, Severity

_COLOURS: dict[Severity, dict[str, Any]] = {
    Severity.ERROR: {"fg": "red"},
    Severity.WARNING: {"fg": "yellow"},
    Severity.INFO: {},
}


@click.command(short_help="Say what is wrong with device files.")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@node_option("Check COB-IDs and other formulas for this node-ID. [default: that of a DCF]")
@click.option(
    "--severity",
    type=click.Choice([each.name.lower() for each in Severity]),
    default="warning",
    show_default=True,
    help="Say only what is at least as bad.",
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object for each finding.")
@click.option("-q", "--quiet", is_flag=True, help="No summary on stderr.")
def lint(files: tuple[str, ...], node: int | None, severity: str, as_json: bool, quiet: bool) -> None:
    """Say what is wrong with device files: how they are written, and whether what they say makes sense.

    Each finding has the file, the line and a code that docs/reference/eds.md explains. Exit code 1 when there are any,
    2 when a file cannot be read at all. - is standard input.
    """
    least = Severity[severity.upper()]
    printer = output.Printer()
    counted: Counter[Severity] = Counter()
    unusable = 0
    for file in files:
        try:
            found = list(_findings(file, node))
        except DictionaryError as error:
            output.note(f"opendiag eds lint: {error}")
            unusable += 1
            continue
        counted.update(finding.severity for finding in found)
        for finding in found:
            if finding.severity < least:
                continue
            if as_json:
                printer.json(to_dict(finding))
            else:
                printer.line(str(finding), **_COLOURS[finding.severity])
    if not quiet and len(files) > unusable:
        output.note(_summary(len(files) - unusable, counted, least))
    if unusable:
        sys.exit(EXIT_USAGE)
    if any(each >= least for each in counted):
        sys.exit(EXIT_FINDINGS)


def _findings(file: str, node: int | None) -> Iterator[Finding]:
    """Those of the reader and those of the checks, in the order of the lines."""
    from opendiag.dictionary.lint_all import lint as check

    dictionary = read(file)
    yield from sorted([*dictionary.findings, *check(dictionary, node)], key=lambda finding: finding.line or 0)


def to_dict(finding: Finding) -> dict[str, Any]:
    """JSON form of a finding."""
    out = {
        "file": finding.file,
        "line": finding.line,
        "severity": finding.severity.name.lower(),
        "code": finding.code,
        "sentence": finding.sentence,
        "evidence": finding.evidence or None,
        "assumed": finding.assumed or None,
        "advice": finding.advice or None,
        "node": finding.node,
    }
    return {key: content for key, content in out.items() if content is not None}


def _summary(files: int, counted: Counter[Severity], least: Severity) -> str:
    names = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.INFO: "remark"}
    parts = [
        f"{counted[each]} {name}{'s' * (counted[each] != 1)}"
        for each, name in names.items()
        if counted[each] and each >= least
    ]
    hidden = sum(number for each, number in counted.items() if each < least)
    text = f"{files} file{'s' * (files != 1)}: {', '.join(parts) or 'nothing wrong'}."
    if hidden:
        text += f" {hidden} of less weight {'is' if hidden == 1 else 'are'} not shown (--severity info)."
    return text
