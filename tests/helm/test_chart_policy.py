"""The chart against checkov's rules for Kubernetes: each that it breaks is broken on purpose and says why."""

import json
import subprocess

import pytest
import yaml
from charted import CHART, pods, render, values

CHECKOV = CHART.parents[1] / ".venv-checkov" / "bin" / "checkov"
EXCEPTIONS = yaml.safe_load((CHART / "ci" / "policy-exceptions.yaml").read_text())


def scan(objects: list[dict], tmp_path) -> tuple[int, set[tuple[str, str]]]:
    """How many rules held, and (kind, rule) of those that did not."""
    file = tmp_path / "rendered.yaml"
    file.write_text(yaml.safe_dump_all(objects))
    assert CHECKOV.exists(), "scripts/setup tests installs it"
    done = subprocess.run(
        [CHECKOV, "-f", file, "--framework", "kubernetes", "-o", "json", "--quiet", "--skip-download"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["summary"]["parsing_errors"] == 0
    failed = {(one["resource"].split(".")[0], one["check_id"]) for one in found["results"]["failed_checks"]}
    return found["summary"]["passed"], failed


@pytest.fixture(scope="module")
def scanned(tmp_path_factory) -> tuple[int, set[tuple[str, str]]]:
    """One scan of both (6 s): as the chart is by default, with every part on, and with one mistake in a pod."""
    wrong = render(values("default"), name="wrong")
    pods(wrong)[0]["containers"][0]["securityContext"]["privileged"] = True
    (pod,) = [found for found in wrong if found["kind"] == "StatefulSet"]
    pod["kind"] = "Deployment"
    del pod["spec"]["serviceName"], pod["spec"]["podManagementPolicy"]
    objects = [*render(values("default")), *render(values("everything")), pod]
    return scan(objects, tmp_path_factory.mktemp("checkov"))


def test_the_scan_scans(scanned):
    held, failed = scanned
    assert held > 300
    assert ("Deployment", "CKV_K8S_16") in failed, "a privileged container, which the test itself made"


def test_what_is_broken_is_broken_on_purpose(scanned):
    found = {(kind, rule) for kind, rule in scanned[1] if kind != "Deployment"}
    known = {(kind, rule) for kind, rules in EXCEPTIONS.items() for rule in rules}
    assert found - known == set(), "mend the chart, or say in helm/driftd/ci/policy-exceptions.yaml why it stays"
    assert known - found == set(), "no longer needed in helm/driftd/ci/policy-exceptions.yaml"
    assert all(len(because) > 20 for rules in EXCEPTIONS.values() for because in rules.values())
