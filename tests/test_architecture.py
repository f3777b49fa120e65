"""The rules of the house, read from the syntax tree of every module: who imports whom, what stays free of I/O and
of clocks, and how long files and functions get. Each rule is also shown a snippet that breaks it.
"""

import ast
from pathlib import Path

import pytest

PACKAGE = "opendiag"
ROOT = Path(__file__).parents[1] / PACKAGE

# --- the layers, lowest first: a part imports itself and what lies below it, not its neighbours --------------------

BASE = {"frame", "errors", "findings"}
LAYERS = [
    BASE,
    {"wire"},
    {"dictionary"},
    {"services"},
    {"cia402"},
    {"decode", "simulate"},
    {"diagnose"},
    {"master", "capture"},
    {"cli", "aio"},
]
RANK = {part: rank for rank, parts in enumerate(LAYERS) for part in parts}
#: Files and adapters know nothing of CANopen; only these may use them.
OUTSIDE = {"logs", "adapters"}
USES_OUTSIDE = {"capture": {"logs"}, "master": OUTSIDE, "cli": OUTSIDE}
#: Where the bundled files are.
RESOURCES = "resources"
USES_RESOURCES = {"dictionary", "cli"}
PARTS = {*RANK, *OUTSIDE, RESOURCES, "__main__", "__init__"}

PURE = {"wire", "dictionary", "services", "cia402", "decode", "simulate", "diagnose"}
IMPURE_MODULES = {"socket", "serial", "usb", "can", "asyncio", "threading", "queue", "select", "time"}
CLOCK_CALLS = {"now", "utcnow", "today"}
#: Slow to import, or not there at all: loaded only where they are used.
HEAVY_MODULES = {"can", "numpy", "pyarrow", "serial", "usb"}

MAX_FILE_LINES = 450
MAX_FUNCTION_LINES = 60


def part_of(module):
    """opendiag.wire.sdo -> wire; opendiag itself -> __init__."""
    names = module.split(".")
    return names[1] if len(names) > 1 else "__init__"


def allowed(importer, imported):
    """May this part of the package import that one?"""
    if importer == imported or (importer in BASE and imported in BASE):
        return True
    if imported in ("__init__", "__main__"):
        return importer == "cli" and imported == "__init__"
    if importer == "__init__":
        return imported != "cli"
    if importer == "__main__":
        return imported == "cli"
    if importer == RESOURCES:
        return False
    if imported == RESOURCES:
        return importer in USES_RESOURCES
    if importer in OUTSIDE:
        return imported in BASE
    if imported in OUTSIDE:
        return imported in USES_OUTSIDE.get(importer, ())
    return importer in RANK and imported in RANK and RANK[imported] < RANK[importer]


# --- reading a module -----------------------------------------------------------------------------------------------


def is_type_checking(test):
    return isinstance(test, (ast.Name, ast.Attribute)) and ast.unparse(test).endswith("TYPE_CHECKING")


def walk(node, at_import=True):
    """Every node below, with True where it runs when the module is imported."""
    for child in ast.iter_child_nodes(node):
        inside = at_import and not isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda))
        if isinstance(child, ast.If) and is_type_checking(child.test):
            for statement in child.body:
                yield statement, False
                yield from walk(statement, False)
            for statement in child.orelse:
                yield statement, inside
                yield from walk(statement, inside)
            continue
        yield child, inside
        yield from walk(child, inside)


def absolute(node, module, is_package):
    """The module that ``from ... import`` names, with leading dots resolved."""
    if not node.level:
        return node.module or ""
    names = module.split(".")
    keep = len(names) - node.level + is_package
    return ".".join([*names[:keep], *([node.module] if node.module else [])])


def imports(tree, module, is_package):
    """(line, imported module, at import time) of every import statement and import_module call, at any depth."""
    for node, at_import in walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                yield node.lineno, name.name, at_import
        elif isinstance(node, ast.ImportFrom):
            base = absolute(node, module, is_package)
            if base == PACKAGE:
                for name in node.names:
                    # `from opendiag import wire` imports wire; `from opendiag import Frame` the front door.
                    yield node.lineno, f"{base}.{name.name}" if name.name in PARTS else base, at_import
            else:
                yield node.lineno, base, at_import
        elif isinstance(node, ast.Call) and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__"):
            for argument in node.args[:1]:
                if isinstance(argument, ast.Constant) and isinstance(argument.value, str):
                    name = argument.value
                    yield node.lineno, module + name if name.startswith(".") else name, at_import


def clock_calls(tree):
    """Lines that ask what time it is: datetime.now(), date.today() and their like, under any alias."""
    names = {"datetime", "date"}
    for node in ast.walk(tree):
        if (isinstance(node, ast.ImportFrom) and node.module == "datetime") or isinstance(node, ast.Import):
            names |= {name.asname for name in node.names if name.asname and name.name in ("datetime", "date")}
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_CALLS:
            owner = ast.unparse(node.func.value)
            if owner.split(".")[-1] in names:
                yield node.lineno, f"{owner}.{node.func.attr}()"


# --- the rules: (tree, source, module, path inside the package) -> problems ------------------------------------------


def check_directions(tree, source, module, path):
    importer = part_of(module)
    if importer not in PARTS:
        yield f"{importer} has no place in the layers: LAYERS in {Path(__file__).name} decides"
        return
    is_package = path.endswith("__init__.py")
    for line, imported, at_import in imports(tree, module, is_package):
        if imported.split(".")[0] != PACKAGE:
            continue
        if not allowed(importer, part_of(imported)):
            yield f"line {line}: {importer} must not import {imported}"
        elif module == PACKAGE and at_import and part_of(imported) not in BASE:
            yield f"line {line}: the top of the package must import {imported} lazily"


def is_pure(module, path):
    return part_of(module) in PURE or path.endswith(("_codec.py", "bit_timing.py"))


def check_purity(tree, source, module, path):
    if not is_pure(module, path):
        return
    for line, imported, _ in imports(tree, module, path.endswith("__init__.py")):
        if imported.split(".")[0] in IMPURE_MODULES:
            yield f"line {line}: {imported} has no place in a module without I/O, threads and clocks"
    for line, call in clock_calls(tree):
        yield f"line {line}: {call} reads a clock; time is an argument"


def check_heavy_imports(tree, source, module, path):
    if path.startswith("adapters/") or path == "decode/columns.py":
        return
    for line, imported, at_import in imports(tree, module, path.endswith("__init__.py")):
        if at_import and imported.split(".")[0] in HEAVY_MODULES:
            yield f"line {line}: import {imported} inside the function that needs it"


def is_data(tree, path):
    """A table under dictionary/tables/: imports, assignments and calls, no statement that decides anything."""
    statements = (ast.Import, ast.ImportFrom, ast.Assign, ast.AnnAssign, ast.Expr)
    return path.startswith("dictionary/tables/") and all(isinstance(node, statements) for node in tree.body)


def check_file_length(tree, source, module, path):
    lines = len(source.splitlines())
    if lines > MAX_FILE_LINES and not is_data(tree, path):
        yield f"{lines} lines (at most {MAX_FILE_LINES}): it has two ideas in it"


def check_function_length(tree, source, module, path):
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            lines = node.end_lineno - node.lineno + 1
            if lines > MAX_FUNCTION_LINES:
                yield f"line {node.lineno}: {node.name} has {lines} lines (at most {MAX_FUNCTION_LINES})"


def check_docstring(tree, source, module, path):
    if tree.body and not ast.get_docstring(tree):
        yield "no docstring that says what the module is for"


def check_annotations(tree, source, module, path):
    """Public functions say what they take and give; `mypy --strict` then checks that it is true."""
    for node in ast.walk(tree):
        if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or node.name.startswith("_"):
            continue
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        arguments += [extra for extra in (node.args.vararg, node.args.kwarg) if extra]
        bare = [a.arg for a in arguments if a.annotation is None and a.arg not in ("self", "cls")]
        if bare or node.returns is None:
            yield f"line {node.lineno}: {node.name} lacks the type of {', '.join(bare) or 'its result'}"


RULES = (
    check_directions,
    check_purity,
    check_heavy_imports,
    check_file_length,
    check_function_length,
    check_docstring,
    check_annotations,
)


def problems(rule, source, path):
    """What a rule has against a module at this path inside the package."""
    names = path.removesuffix(".py").split("/")
    module = ".".join([PACKAGE, *(name for name in names if name != "__init__")])
    return list(rule(ast.parse(source), source, module, path))


# --- the package ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.__name__)
def test_the_package_keeps_the_rule(rule):
    files = sorted(ROOT.rglob("*.py"))
    assert len(files) > 10, f"no package at {ROOT}"
    found = []
    for file in files:
        path = file.relative_to(ROOT).as_posix()
        found += [f"{PACKAGE}/{path}: {problem}" for problem in problems(rule, file.read_text("utf-8"), path)]
    assert not found, "\n".join(["", *found])


# --- the rules themselves -------------------------------------------------------------------------------------------

DOWNWARDS = ["frame", "errors", "wire", "dictionary", "services", "cia402", "decode", "diagnose", "master", "cli"]


def test_imports_run_downwards_only():
    for low, importer in enumerate(DOWNWARDS):
        for high, imported in enumerate(DOWNWARDS):
            if high != low and {low, high} != {0, 1}:
                assert allowed(importer, imported) == (high < low), (importer, imported)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("wire/sdo.py", "from opendiag.dictionary import model"),
        ("wire/sdo.py", "import opendiag.dictionary.model"),
        ("wire/sdo.py", "from opendiag import dictionary"),
        ("wire/sdo.py", "from .. import dictionary"),
        ("wire/sdo.py", "from ..dictionary import model"),
        ("wire/__init__.py", "from ..dictionary import model"),
        ("wire/sdo.py", "def f():\n    from opendiag.dictionary import model"),
        ("wire/sdo.py", "class A:\n    def f(self):\n        import opendiag.services"),
        ("wire/sdo.py", "if TYPE_CHECKING:\n    from opendiag.dictionary import model"),
        ("wire/sdo.py", "import importlib\nimportlib.import_module('opendiag.master')"),
        ("wire/sdo.py", "__import__('opendiag.master')"),
        ("wire/sdo.py", "try:\n    import opendiag.master\nexcept ImportError:\n    pass"),
        ("wire/sdo.py", "import opendiag"),
        ("wire/sdo.py", "from opendiag import Frame"),
        ("wire/sdo.py", "from opendiag.resources import bundled_path"),
        ("frame.py", "from opendiag.wire import nmt"),
        ("decode/decoder.py", "from opendiag.simulate import bus"),
        ("simulate/bus.py", "from opendiag.decode import decoder"),
        ("services/base.py", "from opendiag.cia402 import states"),
        ("diagnose/why.py", "from opendiag.logs import candump"),
        ("diagnose/why.py", "from opendiag.adapters import uri"),
        ("master/node.py", "from opendiag.cli import main"),
        ("logs/candump.py", "from opendiag.wire import nmt"),
        ("logs/candump.py", "from opendiag.adapters import uri"),
        ("adapters/uri.py", "from opendiag.wire import nmt"),
        ("adapters/uri.py", "from opendiag.logs import candump"),
        ("capture.py", "from opendiag.adapters import uri"),
        ("capture.py", "from opendiag.master import network"),
        ("decode/decoder.py", "from opendiag.capture import Capture"),
        ("resources.py", "from opendiag.errors import OpenDiagError"),
        ("services/base.py", "from opendiag.resources import bundled_path"),
        ("__init__.py", "from opendiag.wire import nmt"),
        ("__init__.py", "def __getattr__(name):\n    from opendiag.cli import main"),
        ("cli/main.py", "from opendiag.__main__ import main"),
        ("gadgets/new.py", "import os"),
    ],
)
def test_a_wrong_import_is_found(path, source):
    assert problems(check_directions, source, path)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("wire/sdo.py", "from opendiag.errors import WireError\nfrom . import sdo_block\nfrom .sdo_frame import u32"),
        ("wire/sdo.py", "import struct\nimport opendiagnostics.dictionary"),
        ("findings.py", "from opendiag.errors import OpenDiagError"),
        ("dictionary/library.py", "from opendiag.resources import bundled_path\nfrom opendiag.wire import pdo"),
        ("decode/decoder.py", "from opendiag.cia402 import states"),
        ("diagnose/why.py", "from opendiag.decode import records\nfrom opendiag.simulate import bus"),
        ("master/network.py", "from opendiag.adapters import uri\nfrom opendiag.logs import candump"),
        ("capture.py", "from opendiag.decode import decoder\nfrom opendiag.logs import candump"),
        ("cli/decode.py", "from opendiag import __version__\nfrom opendiag.capture import open_log"),
        ("cli/explain.py", "from opendiag.master import network\nfrom opendiag.resources import bundled_path"),
        ("logs/candump.py", "from opendiag import errors, frame\nfrom opendiag.findings import Finding"),
        ("adapters/uri.py", "from opendiag.frame import Frame"),
        ("__init__.py", "from opendiag.frame import Frame\nfrom .errors import OpenDiagError"),
        ("__init__.py", "if TYPE_CHECKING:\n    from opendiag.master import Network"),
        ("__init__.py", "def __getattr__(name):\n    from opendiag.master import Network"),
        ("__main__.py", "from opendiag.cli import main"),
    ],
)
def test_a_right_import_is_left_alone(path, source):
    assert problems(check_directions, source, path) == []


@pytest.mark.parametrize("module", sorted(IMPURE_MODULES))
@pytest.mark.parametrize("path", [*(f"{part}/x.py" for part in sorted(PURE)), "adapters/slcan_codec.py"])
def test_input_output_in_a_pure_module_is_found(path, module):
    for source in (
        f"import {module}",
        f"import {module}.thing as t",
        f"from {module} import thing",
        f"def f():\n    import {module}",
        f"import importlib\nimportlib.import_module('{module}')",
    ):
        assert problems(check_purity, source, path), source
    assert problems(check_purity, f"import {module}", "master/pump.py") == []
    assert problems(check_purity, f"from . import {module}x\nimport {module}x", path) == []


@pytest.mark.parametrize(
    "source",
    [
        "import datetime\ndatetime.datetime.now()",
        "import datetime as d\nd.date.today()",
        "import datetime as d\nd.datetime.now()",
        "from datetime import datetime\ndef f():\n    return datetime.now(tz=None)",
        "from datetime import datetime as dt\ndt.utcnow()",
        "from datetime import date as day\nday.today()",
    ],
)
def test_a_clock_in_a_pure_module_is_found(source):
    assert problems(check_purity, source, "wire/time_stamp.py")
    assert problems(check_purity, source, "adapters/slcan_codec.py")
    assert problems(check_purity, source, "logs/candump.py") == []


def test_a_clock_that_is_an_argument_is_left_alone():
    source = "from datetime import date\ndef f(clock, now):\n    return clock.now(), now, date(1984, 1, 1)"
    assert problems(check_purity, source, "services/base.py") == []


@pytest.mark.parametrize("module", sorted(HEAVY_MODULES))
def test_a_heavy_import_at_module_level_is_found(module):
    at_import = [
        f"import {module}",
        f"class A:\n    import {module}",
        f"try:\n    from {module} import x\nfinally:\n    pass",
    ]
    later = [f"def f():\n    import {module}", f"if TYPE_CHECKING:\n    import {module}", f"import {module}x"]
    for source in at_import:
        assert problems(check_heavy_imports, source, "master/network.py"), source
        assert problems(check_heavy_imports, source, "adapters/gs_usb.py") == []
        assert problems(check_heavy_imports, source, "decode/columns.py") == []
    for source in later:
        assert problems(check_heavy_imports, source, "master/network.py") == [], source
    guarded = f"if TYPE_CHECKING:\n    import x\nelse:\n    import {module}"
    assert problems(check_heavy_imports, guarded, "master/network.py")


def test_a_long_file_is_found():
    code = "def f() -> None: ...\n"
    assert problems(check_file_length, code * 451, "wire/sdo.py")
    assert problems(check_file_length, code * 450, "wire/sdo.py") == []
    assert problems(check_file_length, code * 451, "dictionary/tables/cia301.py"), "a table has no functions"
    table = '"""Table."""\nfrom x import y\nROWS: list[int] = []\n' + "y(1)\nA = 1\n" * 300
    assert problems(check_file_length, table, "dictionary/tables/cia301.py") == []
    assert problems(check_file_length, table, "dictionary/model.py")


@pytest.mark.parametrize("indent", ["", "    "])
@pytest.mark.parametrize("keyword", ["def", "async def"])
def test_a_long_function_is_found(indent, keyword):
    head = "class A:\n" if indent else ""
    body = f"\n{indent}    x = 1" * 60
    assert problems(check_function_length, f"{head}{indent}{keyword} f():{body}", "wire/sdo.py")
    shorter = f"\n{indent}    x = 1" * 59
    assert problems(check_function_length, f"{head}{indent}{keyword} f():{shorter}", "wire/sdo.py") == []


def test_a_missing_docstring_is_found():
    assert problems(check_docstring, "import os", "wire/sdo.py")
    assert problems(check_docstring, '"""What it is."""\nimport os', "wire/sdo.py") == []
    assert problems(check_docstring, "", "wire/__init__.py") == [], "an empty file has nothing to say"


@pytest.mark.parametrize(
    "source",
    ["def f(a) -> None: ...", "def f(a: int): ...", "class A:\n    def f(self): ...", "def f(*a, **k) -> None: ..."],
)
def test_a_missing_annotation_is_found(source):
    assert problems(check_annotations, source, "wire/sdo.py")


def test_a_private_function_may_be_bare():
    source = "def _f(a): ...\nclass A:\n    def f(self, b: int, *c: int) -> None: ..."
    assert problems(check_annotations, source, "wire/sdo.py") == []
