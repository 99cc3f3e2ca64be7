"""Every alert that is shipped says what to do, has its place in the runbooks, and was tried: firing, and not."""

import re
import subprocess
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from test_metrics_page import defined

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "alerts" / "driftd.rules.yml"
CASES = ROOT / "alerts" / "driftd.tests.yml"
RUNBOOKS = (ROOT / "docs" / "runbooks.md").read_text()
PAGE = (ROOT / "docs" / "metrics.md").read_text()
BASE = "https://github.com/driftd/driftd/blob/main/docs/runbooks.md#"


def alerts() -> dict[str, dict]:
    (group,) = YAML(typ="safe").load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for rule in group["rules"]}


@cache
def tried() -> dict[str, set[bool]]:
    """By alert whether it was expected to fire, in any case."""
    found: dict[str, set[bool]] = {}
    for case in YAML(typ="safe").load(CASES.read_text())["tests"]:
        for check in case["promql_expr_test"]:
            name = re.search(r'alertname="(\w+)"', check["expr"])[1]
            found.setdefault(name, set()).add(bool(check["exp_samples"]))
    return found


def done(*command: str) -> None:
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_promtool_reads_the_rules_and_plays_the_cases():
    done("promtool", "check", "rules", str(RULES))
    done("promtool", "test", "rules", str(CASES))


@pytest.mark.parametrize("name", alerts())
def test_it_is_complete(name: str):
    rule = alerts()[name]
    assert rule["labels"]["severity"] in {"critical", "warning", "none"}
    said = rule["annotations"]
    assert said.keys() == {"summary", "description", "runbook_url"}
    assert len(said["summary"]) <= 80, "it is the subject of a mail"
    assert len(re.findall(r"[.:] ", said["description"] + " ")) >= 2, "what, why, and what next"
    assert said["runbook_url"] == BASE + name.lower()
    assert tried()[name] == {True, False}, "it takes a case that fires and one that does not"
    severity = rule["labels"]["severity"]
    assert f"| [{name}](#{name.lower()}) | {severity} |" in RUNBOOKS
    (section,) = re.findall(rf"^## {name}\n(.*?)(?=^## |\Z)", RUNBOOKS, re.MULTILINE | re.DOTALL)
    assert "**Means.**" in section


def test_no_runbook_is_left_of_an_alert_that_is_gone():
    assert set(re.findall(r"^## (Driftd\w+)$", RUNBOOKS, re.MULTILINE)) == alerts().keys()
    assert tried().keys() == alerts().keys()


def test_rules_ask_for_metrics_that_there_are():
    known = {*defined()}
    for name, rule in alerts().items():
        assert set(re.findall(r"\bdriftd_\w+", rule["expr"])) <= known, name


def test_lengths_of_time_are_written_so_that_tests_can_divide_them():
    for name, rule in alerts().items():
        plain = re.sub(r"\[\w+\]|\b\d+ \* 60\b|\bC\d+\b", "", rule["expr"])
        assert not re.search(r"\b\d{2,}\b|\b\d+[smhd]\b", plain), name


@pytest.mark.parametrize(("file", "tool"), [("prometheus.yml", "promtool"), ("alertmanager.yml", "amtool")])
def test_the_configurations_in_the_docs_are_read_by_whom_they_are_for(tmp_path: Path, file: str, tool: str):
    (example,) = re.findall(rf"```yaml\n(# {file}\n.*?)```", PAGE, re.DOTALL)
    (tmp_path / file).write_text(example.replace("/etc/prometheus/driftd.rules.yml", str(RULES)))
    done(*(("promtool", "check", "config") if tool == "promtool" else ("amtool", "check-config")), str(tmp_path / file))
