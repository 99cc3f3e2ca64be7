"""What driftd imports is installed with it: a plain ``pip install .`` brings no tool of the tests."""

import ast
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

ROOT = Path(__file__).parents[2]


def _plain(requirement: str) -> str:
    return re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0].lower().replace("_", "-")


def _installed() -> set[str]:
    """The distributions that pyproject.toml names, extras for users among them, and what they need themselves."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    named = {
        _plain(one)
        for one in [
            *project["dependencies"],
            *(one for name in ("aws", "zstd", "sbom", "slack", "notify") for one in extras[name]),
        ]
    }
    for name in sorted(named):
        try:
            named |= {_plain(one) for one in requires(name) or () if "extra ==" not in one}
        except PackageNotFoundError:
            continue
    return named


def test_no_module_needs_what_only_the_tests_install():
    installed, distributions = _installed(), packages_distributions()
    assert {"typer", "sqlalchemy"} <= installed
    missing = []
    for file in (ROOT / "driftd").rglob("*.py"):
        if file.is_relative_to(ROOT / "driftd/testing"):  # for a provider's author, who brings pytest
            continue
        for node in ast.walk(ast.parse(file.read_text())):
            names = [one.name for one in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level and node.module:
                names = [node.module]
            for name in (one.partition(".")[0] for one in names):
                if name == "driftd" or name in sys.stdlib_module_names:
                    continue
                if not {_plain(one) for one in distributions.get(name, ())} & installed:
                    missing.append(f"{file.relative_to(ROOT)}: {name}")
    assert missing == []
