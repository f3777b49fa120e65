"""Does what a device file says make sense? Checks of substance; how it is written, the reader has checked.

Each finding has a code ``lint-...``, docs/reference/eds.md lists them. An ERROR is something a device or a program
will stumble over, a WARNING something to look at, an INFO something to know.
"""

from __future__ import annotations

from opendiag.dictionary.lint_cob_id import check_cob_ids
from opendiag.dictionary.lint_device import check_device
from opendiag.dictionary.lint_objects import check_objects
from opendiag.dictionary.lint_pdo import check_pdos
from opendiag.dictionary.lint_report import Places, Report
from opendiag.dictionary.lint_standard import check_standard
from opendiag.dictionary.lint_values import check_values
from opendiag.dictionary.model import ObjectDictionary, check_node_id
from opendiag.findings import Finding

_CHECKS = (check_device, check_objects, check_values, check_pdos, check_cob_ids, check_standard)


def lint(dictionary: ObjectDictionary, node_id: int | None = None) -> list[Finding]:
    """Return what does not make sense, in the order of the file. What its reader found is not among it.

    ``node_id`` 1..127 makes numbers of the formulas; without one it is the node-ID of the file, and without that only
    what holds for every node-ID is found.

    Raises ValueError for a node-ID outside 1..127.
    """
    check_node_id(node_id)
    report = Report(dictionary, dictionary.node_id if node_id is None else node_id, Places(dictionary))
    for check in _CHECKS:
        check(report)
    return sorted(report.findings, key=lambda finding: finding.line or 0)
