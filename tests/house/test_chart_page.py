"""The chart's values, their schema and their page say the same; and the schema lets no unknown value pass."""

import re
from collections.abc import Iterator
from typing import Any

import pytest
from chart_page import PAGE, defaults, leaves, render, schema

# Values without a default: what a cluster may add, and what nobody needs.
OPTIONAL = {"global", "resources.requests.ephemeral-storage", "resources.limits.ephemeral-storage"}


def test_the_page_of_values_is_made_from_them():
    assert PAGE.read_text(encoding="utf-8") == render(), "PYTHONPATH=tests/house python -m chart_page writes it anew"


def test_every_value_has_a_schema_and_every_schema_a_default():
    assert {name for name, _ in leaves(schema())} - OPTIONAL == defaults().keys()


@pytest.mark.parametrize("name", sorted(dict(leaves(schema()))))
def test_every_value_is_described(name: str):
    assert len(dict(leaves(schema()))[name]["description"]) > 4


def parts(node: Any, path: str) -> Iterator[tuple[str, dict[str, Any]]]:
    if isinstance(node, dict):
        if node.get("type") == "object":
            yield path, node
        for name, inner in node.items():
            yield from parts(inner, f"{path}/{name}")


def test_no_object_takes_what_is_not_known_but_those_that_kubernetes_or_driftd_read():
    free = {
        path.replace("/properties", "").replace("/items", "")
        for path, node in parts(schema(), "")
        if "additionalProperties" not in node
    }
    kubernetes = {"/affinity", "/tolerations", "/env/valueFrom"} | {
        f"/networkPolicy/scrapers/{name}" for name in ("podSelector", "namespaceSelector", "ipBlock")
    }
    assert free == {"/global", "/config", "/config/groups/additionalProperties"} | kubernetes


def test_the_page_names_only_files_that_are_there():
    for target in re.findall(r"\]\(([^)]+)\)", PAGE.read_text(encoding="utf-8")):
        assert (PAGE.parent / target).exists(), target
