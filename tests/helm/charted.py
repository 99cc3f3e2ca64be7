"""The chart, rendered by Helm itself (its Go library, which helm-python-sdk carries): no cluster, no network."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any

import helm_python
import yaml

CHART = Path(__file__).resolve().parents[2] / "helm" / "driftd"
CASES = tuple(sorted(file.stem.removesuffix("-values") for file in (CHART / "ci").glob("*-values.yaml")))
# What is no kind of Kubernetes itself: nobody's schema of it is to be had here.
FOREIGN = ("ServiceMonitor", "PrometheusRule")


def values(case: str) -> dict[str, Any]:
    """One of the chart's files of values."""
    return yaml.safe_load((CHART / "ci" / f"{case}-values.yaml").read_text())


@functools.cache
def _chart() -> helm_python.Chart:
    return helm_python.Chart.load(CHART)


def render(given: dict[str, Any], name: str = "watch") -> list[dict[str, Any]]:
    """Every object that an installation makes. Raises HelmError with what Helm says."""
    files = _chart().render(given, name=name, namespace="ops")
    return [
        document
        for path, text in sorted(files.items())
        if path.endswith(".yaml")
        for document in yaml.safe_load_all(text)
        if document
    ]


def notes(given: dict[str, Any]) -> str:
    """What a person reads after installing."""
    return _chart().render(given, name="watch", namespace="ops")["driftd/templates/NOTES.txt"]


def one(objects: list[dict[str, Any]], kind: str) -> dict[str, Any]:
    """The only object of its kind."""
    (found,) = [found for found in objects if found["kind"] == kind]
    return found


def pods(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The spec of every pod."""
    return [
        found["spec"]["template"]["spec"] if found["kind"] == "StatefulSet" else found["spec"]
        for found in objects
        if found["kind"] in ("StatefulSet", "Pod")
    ]
