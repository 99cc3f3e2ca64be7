"""The Terraform module, as far as it can be tried without Terraform: it parses, holds together, and is scanned."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "deploy/terraform/aws"
BIN = ROOT / ".venv-checkov/bin"
PARSE = "import hcl2, json, sys; print(json.dumps({n: hcl2.load(open(n)) for n in sys.argv[1:]}))"


def scan(module: Path) -> tuple[int, set[tuple[str, str]]]:
    """How many rules held, and (resource, rule) of those that did not."""
    assert BIN.exists(), "scripts/setup tests makes it"
    words = ["-d", module, "--framework", "terraform", "-o", "json", "--quiet", "--skip-download"]
    done = subprocess.run([BIN / "checkov", *words], capture_output=True, text=True, timeout=170, check=False)
    assert done.stdout, done.stderr
    found = json.loads(done.stdout)
    assert found["summary"]["parsing_errors"] == 0
    failed = {(one["resource"], one["check_id"]) for one in found["results"]["failed_checks"]}
    return found["summary"]["passed"], failed


@pytest.fixture(scope="module")
def parsed() -> dict:
    """Every file, as HCL reads it."""
    files = [str(file) for file in sorted(MODULE.glob("*.tf"))]
    done = subprocess.run([BIN / "python", "-c", PARSE, *files], capture_output=True, text=True, timeout=60, check=True)
    return {Path(name).name: found for name, found in json.loads(done.stdout).items()}


def test_every_variable_is_told_of_checked_for_its_type_and_used(parsed):
    variables = {name: said for one in parsed["variables.tf"]["variable"] for name, said in one.items()}
    used = set(re.findall(r"\bvar\.([a-z_]+)", (MODULE / "main.tf").read_text()))
    assert used == set(variables)
    for name, said in variables.items():
        assert {"description", "type", "default"} <= set(said), name


def test_what_is_given_out_and_what_is_joined_is_there(parsed):
    made = {
        f"{kind}.{name}" for one in parsed["main.tf"]["resource"] for kind, named in one.items() for name in named
    } | {f"data.{kind}.{name}" for one in parsed["main.tf"]["data"] for kind, named in one.items() for name in named}
    text = "".join(file.read_text() for file in MODULE.glob("*.tf"))
    named = re.findall(r"\b((?:data\.)?aws_[a-z_]+\.[a-z]+)[.\[]", text)
    assert set(named) <= made
    assert {"aws_iam_role.driftd", "aws_iam_policy.driftd"} <= set(named)


def test_the_policies_are_those_of_the_code():
    for mode in ("observe", "enforce", "look-by-ssm", "out-of-band"):
        mine = (MODULE / f"policies/{mode}.json").read_text()
        assert mine == (ROOT / f"docs/aws/{mode}.json").read_text()


def test_checkov_finds_nothing_and_would_find_something(tmp_path):
    held, failed = scan(MODULE)
    assert failed == set()
    assert held > 20
    wrong = tmp_path / "wrong"
    shutil.copytree(MODULE, wrong)
    main = wrong / "main.tf"
    plain = main.read_text()
    changed = plain.replace('actions   = ["s3:GetObject"]', 'actions   = ["*"]')
    assert changed != plain
    main.write_text(changed)
    assert ("aws_iam_policy_document.manifests", "CKV_AWS_107") in {
        (name.removeprefix("data."), rule) for name, rule in scan(wrong)[1]
    }
