"""The container image, built from this repository and run as the chart says: read-only root, no root, no capability.

Played by hand (make soak TESTS=tests/helm/test_image.py), since building and unpacking take two or three minutes: these
are the tests that show that what the chart describes starts, becomes ready, keeps its store and stops.
"""

import gzip
import http.client
import json
import os
import subprocess
import tarfile
from pathlib import Path

import pytest
from charted import CHART, one, pods, render
from contained import Container, Pod, bundle, config_of
from servers import free_port, wait_until

from driftd import __version__
from driftd.edges.documents.keys import DigestKeyDirectory
from driftd.edges.documents.signkeys import make_keys

ROOT = CHART.parents[1]
pytestmark = [pytest.mark.soak, pytest.mark.servers, pytest.mark.machine, pytest.mark.timeout(900)]

TAKES_ITS_KEYS = """
import sys
sys.path.insert(0, "/opt/driftd")
import apprise, slack_sdk  # whom it tells needs them
from pathlib import Path
from driftd.edges.documents.keys import DigestKeyDirectory
from driftd.edges.documents.signkeys import load_signing
from driftd.edges.ssh.keys import identity
from driftd.edges.ssh.options import SshOptions
from driftd.settings import load
found = load(Path("/etc/driftd/driftd.yaml"))
with identity(found.ssh.key, SshOptions()) as key:
    print(key.fingerprint)
print(load_signing(Path(found.trust.signing_key)).id)
print(DigestKeyDirectory(Path(found.keys)).known("web", sys.argv[1]).id)
"""


@pytest.fixture(scope="module")
def layout(tmp_path_factory) -> Path:
    """The image, built anew."""
    place = tmp_path_factory.mktemp("image") / "layout"
    done = subprocess.run([ROOT / "scripts" / "image", place], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return place


@pytest.fixture(scope="module")
def unpacked(layout, tmp_path_factory) -> Path:
    return bundle(layout, tmp_path_factory.mktemp("bundle") / "b")


def blob(layout: Path, descriptor: dict) -> Path:
    return layout / "blobs" / descriptor["digest"].replace(":", "/")


def manifest(layout: Path) -> dict:
    (image,) = json.loads((layout / "index.json").read_text())["manifests"]
    assert image["annotations"]["org.opencontainers.image.ref.name"] == __version__
    return json.loads(blob(layout, image).read_text())


def test_it_runs_driftd_as_nobody_in_particular(layout):
    found = json.loads(blob(layout, manifest(layout)["config"]).read_text())
    said = found["config"]
    assert said["User"] == "65532:65532"
    assert said["Entrypoint"] == ["/usr/local/bin/driftd"]
    assert said["Cmd"] == ["run"]
    assert not any("SECRET" in word or "TOKEN" in word for word in said["Env"])


def test_nothing_in_it_tells_of_the_machine_that_built_it(layout):
    names, told = set(), []
    here = [str(ROOT).encode(), *(word.encode() for word in indexes())]
    for layer in manifest(layout)["layers"]:
        with gzip.open(blob(layout, layer)) as stream, tarfile.open(fileobj=stream, mode="r|") as tar:
            for member in tar:
                names.add(member.name.removeprefix("./"))
                assert not member.mode & 0o6000 or not member.name.startswith("opt/"), member.name
                if member.isfile() and member.name.startswith(("opt/driftd/driftd", "etc/", "usr/local")):
                    content = tar.extractfile(member).read()
                    told += [(member.name, word) for word in here if word in content]
    assert not told
    assert "opt/driftd/driftd/policies/debian.yaml" in names
    assert not [name for name in names if name.endswith("direct_url.json")]


def indexes() -> list[str]:
    """Where this machine has its packages from."""
    asked = [ROOT / ".venv/bin/python", "-m", "pip", "config", "list"]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    return [word.strip("'\"") for word in found.stdout.split() if "://" in word]


def ask(port: int, path: str) -> tuple[int, str]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request("GET", path)
        answer = connection.getresponse()
        return answer.status, answer.read().decode()
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


class Install:
    """An installed release: its one pod may be started again and again on its one volume."""

    def __init__(self, unpacked: Path, work: Path) -> None:
        self.port = free_port()
        self._unpacked, self._work, self._pods = unpacked, work, 0
        self._claim = work / "claim"
        self._claim.mkdir()
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", work / "ssh"], check=True)
        self.signing = make_keys(work / "signing")
        keys = DigestKeyDirectory(work / "keys")
        self.digest = keys.made("web")
        self._secrets = {
            "ssh": {"id_ed25519": (work / "ssh").read_bytes()},
            "signing": {"signing-key": (work / "signing").read_bytes()},
            "digest": {keys.path_for("web").name: keys.path_for("web").read_bytes()},
        }
        self._objects = render(
            {
                "image": {"repository": "driftd"},
                "metrics": {"host": "127.0.0.1", "port": self.port},
                "secrets": {"ssh": "ssh", "signingKey": "signing", "digestKeys": "digest"},
                "env": [{"name": "DRIFTD_DAEMON__TICK", "value": "1s"}],
            }
        )

    def start(self) -> Container:
        self._pods += 1
        work = self._work / f"pod-{self._pods}"
        work.mkdir()
        claim = one(self._objects, "PersistentVolumeClaim")["metadata"]["name"]
        (spec, _) = pods(self._objects)
        pod = Pod(
            spec,
            self._unpacked,
            work,
            claims={claim: self._claim},
            secrets=self._secrets,
            maps=config_of(self._objects),
        )
        pod.prepare()
        container = pod.start(work / "log")

        def ready() -> bool:
            assert container.ended is None, (work / "log").read_text()
            return ask(self.port, "/readyz") == (200, "ok\n")

        try:
            wait_until(ready, "readiness", 120)
        except BaseException:
            container.stop()
            raise
        return container


@pytest.fixture(scope="module")
def installed(unpacked, tmp_path_factory) -> Install:
    return Install(unpacked, tmp_path_factory.mktemp("release"))


def test_it_becomes_ready_confined_as_the_chart_says_and_stops_when_asked(installed):
    container = installed.start()
    try:
        assert ask(installed.port, "/healthz") == (200, "ok\n")
        status, metrics = ask(installed.port, "/metrics")
        assert (status, "driftd_store_up 1.0" in metrics) == (200, True)
        seen = container.run("/bin/sh", "-c", "id -u; grep -E 'Cap(Eff|Bnd)|NoNewPrivs' /proc/1/status")
        assert seen.split() == ["65532", "CapEff:", "0" * 16, "CapBnd:", "0" * 16, "NoNewPrivs:", "1"]
        for path in ("/opt/driftd/x", "/usr/local/bin/x", "/etc/driftd/x", "/run/driftd/x"):
            with pytest.raises(subprocess.CalledProcessError) as refused:
                container.run("/bin/sh", "-c", f"echo >{path}")
            assert "Read-only file system" in refused.value.stderr, path
        assert "No instance is known yet" in container.run("driftd", "status")
    finally:
        ended = container.stop()
    assert ended == 0
    assert ask(installed.port, "/healthz")[0] == 0


def test_it_takes_the_keys_that_secrets_bring_and_goes_on_with_its_store(installed):
    container = installed.start()
    try:
        said = container.run("/usr/bin/python3", "-I", "-c", TAKES_ITS_KEYS, installed.digest.id).split()
        assert said[0].startswith("SHA256:")
        assert said[1:] == [installed.signing.id, installed.digest.id]
        assert "verif" in container.run("driftd", "journal", "verify")
    finally:
        assert container.stop() == 0
    assert os.listdir(installed._claim).count("driftd.db") == 1
