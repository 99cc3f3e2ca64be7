"""The laws of the house: who may import whom, how large a room may grow, what must be said about it."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from collections import Counter
from pathlib import Path

import pytest

import driftd

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "driftd"
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if "migrations/versions" not in path.as_posix())
MODULE_LINES = 450
FUNCTION_LINES = 70


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST):
    return [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]


def test_no_import_climbs_a_floor():
    done = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_core_imports_only_the_standard_library_and_itself():
    for path in sorted((PACKAGE / "core").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for module in names:
                top = module.split(".")[0]
                ours = module.startswith(("driftd.core", "driftd.probe"))
                assert top in sys.stdlib_module_names or ours, f"{name(path)} imports {module}"


CLOCKS = re.compile(r"\b(datetime\.now|time\.time|time\.monotonic|date\.today|random\.|uuid4|os\.environ|open\()")


def test_the_core_reads_no_clock_no_chance_and_no_disk():
    for path in sorted((PACKAGE / "core").rglob("*.py")):
        found = CLOCKS.search(path.read_text())
        assert found is None, f"{name(path)} uses {found.group()}"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_a_room_is_small_and_says_what_it_is_for(path: Path):
    text = path.read_text()
    tree = ast.parse(text)
    assert text.count("\n") <= MODULE_LINES, f"{name(path)} has outgrown its room: redesign it"
    assert ast.get_docstring(tree) or not text.strip(), f"{name(path)} does not say what it is for"
    for function in functions(tree):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= FUNCTION_LINES, f"{name(path)}: {function.name} has {lines} lines"


@pytest.mark.parametrize("path", MODULES, ids=name)
def test_public_names_are_documented(path: Path):
    """A function of one return may speak for itself: a sentence of core/wording is its own documentation."""
    tree = ast.parse(path.read_text())
    for node in tree.body:
        one_return = isinstance(node, ast.FunctionDef) and len(node.body) == 1 and isinstance(node.body[0], ast.Return)
        type_comment = path.is_relative_to(PACKAGE / "probe")
        if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
            if one_return and (type_comment or "wording" in path.parts):
                continue
            assert ast.get_docstring(node), f"{name(path)}: {node.name} has no docstring"


def swallows(handler: ast.ExceptHandler) -> bool:
    """Whether a handler catches everything and does not raise it again."""
    broad = handler.type is None or (
        isinstance(handler.type, ast.Name) and handler.type.id in {"Exception", "BaseException"}
    )
    last = handler.body[-1]
    return broad and not (isinstance(last, ast.Raise) and last.exc is None)


def test_broad_excepts_stand_only_where_one_failure_must_stay_one_failure():
    allowed = {
        "driftd/flows/sweep.py",  # per instance
        "driftd/flows/disks.py",  # likewise
        "driftd/flows/replace.py",  # per step
        "driftd/flows/watch.py",  # per watch
        "driftd/flows/rollout.py",  # per rollout
        "driftd/wiring/__init__.py",  # the door
        "driftd/rehearsal/controller.py",  # a simulated pool: what fails is in the future, as an executor does it
        "driftd/doors/daemon.py",  # a job that fails is a job that failed, not the end of the daemon
        "driftd/probe/glance.py",  # on a far machine: the frame says what happened
        "driftd/probe/look.py",  # likewise
        "driftd/probe/errand.py",  # likewise
        "driftd/probe/crew.py",  # likewise, to the process that hears it
    }
    found = {
        name(path)
        for path in MODULES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ExceptHandler) and swallows(node)
    }
    assert found <= allowed, sorted(found - allowed)


def test_no_module_is_dead():
    """Every module is named by another one or by an entry point."""
    texts = {path: path.read_text() for path in MODULES}
    project = (ROOT / "pyproject.toml").read_text()
    for path in MODULES:
        if path.name in {"__init__.py", "__main__.py", "env.py"}:
            continue
        word = re.compile(rf"\b{path.stem}\b")
        others = [text for other, text in texts.items() if other != path]
        assert any(word.search(text) for text in [*others, project]), f"nobody uses {name(path)}"


def test_the_public_names_are_frozen():
    assert sorted(driftd.__all__) == [
        "Address",
        "Addresses",
        "BadInput",
        "Compute",
        "DriftdError",
        "Instance",
        "InstanceState",
        "Inventory",
        "LaunchRequest",
        "NotFound",
        "Provider",
        "ProviderError",
        "ProviderFactory",
        "Reach",
        "Refused",
        "Target",
        "TargetState",
        "Traffic",
        "Unavailable",
        "Volume",
        "Volumes",
        "__version__",
    ]


def test_ours_register_as_a_strangers_provider_must():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    declared = project["entry-points"]["driftd.providers"]
    installed = {entry.name: entry.value for entry in importlib.metadata.entry_points(group="driftd.providers")}
    assert installed.items() >= declared.items()
    for entry in importlib.metadata.entry_points(group="driftd.providers"):
        assert callable(entry.load())


def test_nothing_carries_the_address_of_a_package_index():
    files = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    address = re.compile(r"(index-url|extra-index-url|find-links|registry)\s*[=:]", re.IGNORECASE)
    for file in files:
        if file.endswith((".toml", ".cfg", ".lock", ".txt", ".conf", ".ini", ".yaml", ".npmrc", "setup", "Makefile")):
            assert not address.search((ROOT / file).read_text(errors="replace")), file


def test_no_two_test_files_share_a_name():
    """pytest imports them by it, and a run of some of them does not see that another has it too."""
    names = Counter(path.name for path in (ROOT / "tests").rglob("test_*.py"))
    assert not [name for name, times in names.items() if times > 1]


def test_every_lint_exception_has_its_reason():
    for path in [*MODULES, *sorted((ROOT / "tests").rglob("*.py"))]:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if re.search(r"#\s*(noqa|type:\s*ignore)", line) and path != Path(__file__):
                assert re.search(r"#\s*(noqa: [A-Z0-9, ]+|type:\s*ignore\[[\w, -]+\])\s+[#-]\s*\S+", line), (
                    f"{name(path)}:{number}: an exception without its reason"
                )


def test_who_is_in_a_group_is_asked_of_the_group():
    """An inventory also finds what a calibration launched; ``Group.members`` leaves that out."""
    allowed = {
        "driftd/flows/groups.py",  # members itself
        "driftd/wiring/house.py",  # a host that stands in no configuration
        "driftd/wiring/stage/base.py",  # the demo's own fleet
        "driftd/testing/contracts/instances.py",  # a provider's contract is about the provider
    }
    found = {name(path) for path in MODULES if re.search(r"\binventory\.find\(", path.read_text())}
    assert found <= allowed, sorted(found - allowed)
