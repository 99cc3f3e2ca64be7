"""A real server attested over real SSH: as it was baked, then changed, then recalled from the daemon's store."""

from __future__ import annotations

import json
import subprocess
import sys
from base64 import b64decode
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from servers import pid_of as pid
from servers import wait_until

from driftd import wiring
from driftd.core.attestation import NotAttested, Result
from driftd.core.errors import BadInput
from driftd.doors.desks.attesting import Attested

pytestmark = [pytest.mark.servers, pytest.mark.timeout(240)]

# The packs that are true of the tests' own servers: their kernel, their application.
CONFIG = """\
ssh: {{key: {key}, known_hosts: {known}}}
trust: {{manifest_keys: [release.pub], signing_key: release}}
groups:
  web:
    provider: static
    hosts: [{host}]
    image: {image}
    every: 5s
    policy: [debian, systemd, sessions, shared-kernel, web.yaml]
"""


@pytest.fixture
def attesting(local_deployment, golden_image, tmp_path: Path):
    """A pristine server of an image whose manifest is signed, and the ``driftd`` command."""

    def driftd(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "driftd", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=90, check=False)

    server = local_deployment.launch("web/0")
    known = tmp_path / "known_hosts"
    known.write_text("".join(f"{server.address} {key}\n" for key in server.reach.host_keys))
    image = golden_image.id
    text = CONFIG.format(key=local_deployment.key, known=known, host=server.address, image=image)
    (tmp_path / "driftd.yaml").write_text(text)
    (tmp_path / "web.yaml").write_bytes((Path(__file__).parents[1] / "web.yaml").read_bytes())
    (tmp_path / "manifests").mkdir()
    assert driftd("manifest", "keygen", "release").returncode == 0
    words = ("--root", str(golden_image.rootfs), "--image", image, "--sign-with", "release")
    baked = driftd("bake", *words, "-o", f"manifests/{image}.manifest")
    assert baked.returncode == 0, baked.stderr
    return driftd, server, tmp_path


def predicate(file: Path) -> dict:
    return json.loads(b64decode(json.loads(file.read_text())["payload"]))["predicate"]


def recalled(desk, instance: str) -> Attested | None:
    """The last look, once the daemon has one that can be attested."""
    with suppress(NotAttested, BadInput):
        return desk.last(instance, timedelta(hours=1))
    return None


def test_as_baked_it_passes_changed_it_fails_and_each_verifies(attesting, golden_image, monkeypatch):
    driftd, server, folder = attesting
    clean = driftd("attest", server.address, "-o", "clean.json")
    assert clean.returncode == 0, clean.stdout + clean.stderr
    said = predicate(folder / "clean.json")
    assert (said["verificationResult"], said["failures"]) == ("PASSED", [])
    assert said["verdict"] in {"clean", "explained"}
    assert said["image"]["manifest"]["signed"]["sequence"] == 1
    assert (said["look"]["means"], said["look"]["extent"]) == ("ssh", "whole")
    assert said["coverage"]["entries"] > 1000
    verified = driftd("attest", "--verify", "clean.json", "--instance", server.address, "--image", golden_image.id)
    assert verified.returncode == 0, verified.stderr
    assert "PASSED" in verified.stdout

    house = wiring.build(folder / "driftd.yaml")
    desk = house.attesting()
    with house.store(read_only=True) as store, store.read() as tx:
        line = tx.last_line()
    assert (line.kind, line.subject, line.body["did"]) == ("human", server.address, "attest")
    # The daemon takes the visits of those who attest for driftd's own, and its last look passes without another visit.
    with subprocess.Popen(
        [sys.executable, "-m", "driftd", "run"], cwd=folder, stderr=(folder / "log").open("wb")
    ) as daemon:
        try:
            told = wait_until(lambda: recalled(desk, server.address), "a look of the daemon", 90).attestation
        finally:
            daemon.terminate()
    assert (told.result, told.seen.recalled, told.taint) == (Result.PASSED, True, None)

    # Something changes, and nobody logs in.
    subprocess.run(["nsenter", "-t", str(pid(server)), "-m", "sh", "-c", "echo changed >>/etc/motd"], check=True)
    failed = driftd("attest", server.address, "-o", "failed.json")
    assert failed.returncode == 1, failed.stdout + failed.stderr
    assert "/etc/motd" in failed.stderr
    said = predicate(folder / "failed.json")
    assert (said["verificationResult"], said["failures"], said["verdict"]) == ("FAILED", ["drifted"], "drifted")
    assert said["findings"]["open"] == 1
    monkeypatch.chdir(folder)
    assert desk.verify(Path("failed.json")).attestation.result is Result.FAILED
    assert desk.verify(Path("clean.json")).attestation.result is Result.PASSED, "it was so, and holds for an hour"
    whole = Path("clean.json").read_bytes()
    for at in range(0, len(whole), 7):  # all of them: tests/edges/test_attestations.py
        Path("clean.json").write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        with pytest.raises(NotAttested):
            desk.verify(Path("clean.json"))
