"""Five minutes with a server that one already has: trust, bake, audit, over SSH, with a list of hosts."""

import json
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = [pytest.mark.servers, pytest.mark.timeout(120)]

CONFIG = """\
trust: {{unsigned: look}}
ssh:
  key: {key}
groups:
  web:
    provider: static
    hosts: [{host}]
    image: web-1
"""
HASH = "$6$saltsaltsalt$" + "S3CRETh4sh" * 8


@pytest.fixture
def newcomer(local_deployment, tmp_path: Path):
    """A pristine server, a configuration that names it, and the ``driftd`` command."""
    key = local_deployment.root / "somebody"
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)
    local_deployment.make(authorized_keys=[key.with_suffix(".pub").read_text().strip()])
    server = local_deployment.launch("web/0")
    (tmp_path / "driftd.yaml").write_text(CONFIG.format(key=local_deployment.key, host=server.address))
    (tmp_path / "manifests").mkdir()

    def driftd(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "driftd", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)

    return driftd, server, local_deployment, tmp_path


def test_from_an_unknown_host_to_a_finding(newcomer):
    driftd, server, deployment, folder = newcomer
    baked = driftd("bake", "--host", "web", "--image", "web-1", "-o", "manifests/web-1.manifest")
    assert baked.returncode == 3
    assert f"driftd trust {server.address}" in baked.stderr

    assert driftd("trust", server.address).returncode == 2, "nobody was asked, so nothing is recorded"
    trusted = driftd("trust", server.address, "--yes")
    assert trusted.returncode == 0, trusted.stderr
    assert "SHA256:" in trusted.stdout
    assert "trusted already" in driftd("trust", server.address).stdout

    baked = driftd("bake", "--host", "web", "--image", "web-1", "-o", "manifests/web-1.manifest")
    assert baked.returncode == 0, baked.stderr
    assert "provisional" in baked.stderr
    assert b"\nprovisional yes\n" in (folder / "manifests/web-1.manifest").read_bytes()

    seen = json.loads(driftd("audit", "--format", "json").stdout)["instances"][0]
    assert seen["findings"] == [], "not even the visit that baked it"
    assert seen["verdict"] in {"clean", "explained"}
    deployment.ssh(server, "echo changed >>/etc/motd", key=deployment.root / "somebody")
    audited = driftd("audit")
    assert audited.returncode == 1
    assert "/etc/motd" in audited.stdout
    assert "session" in audited.stdout


def test_no_secret_leaves_the_server(newcomer):
    driftd, server, deployment, folder = newcomer
    driftd("trust", server.address, "--yes")
    script = (
        f"sed -i 's|^root:[^:]*|root:{HASH}|' /etc/shadow; echo S3CRETcontent >/etc/secret; cat /etc/ssh/ssh_host_*_key"
    )
    host_key = deployment.ssh(server, script).splitlines()[2]
    assert driftd("bake", "--host", "web", "--image", "web-1", "-o", "manifests/web-1.manifest").returncode == 0
    deployment.ssh(server, "echo S3CRETagain >>/etc/secret")
    with subprocess.Popen(
        [sys.executable, "-m", "driftd", "run"], cwd=folder, stderr=(folder / "log").open("wb")
    ) as daemon:
        try:
            ends = time.monotonic() + 30
            while b"drifted" not in (folder / "log").read_bytes():
                assert time.monotonic() < ends, (folder / "log").read_text()
                time.sleep(0.1)
        finally:
            daemon.terminate()
    (folder / "report.json").write_text(driftd("audit", "--format", "json", "--strict").stdout)
    (folder / "journal").write_text(driftd("journal", "show", "--json").stdout)
    private = deployment.key.read_text().splitlines()[2]
    assert (folder / "driftd.db").stat().st_size > 10_000
    for file in folder.rglob("*"):
        if file.is_file():
            data = file.read_bytes()
            for secret in (b"S3CRET", host_key.encode(), private.encode()):
                assert secret not in data, f"{file.name} holds a secret"
