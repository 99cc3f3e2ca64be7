"""nginx, PostgreSQL and cloud-init from Debian's packages, at work on a local instance: their packs explain all of it.

Without a pack there are findings of the very service; with it, and after work and a restart, there are none.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from changing import shown
from packed import packed_image
from servers import LocalDeployment, fetch, pid_of, wait_until

from driftd.core.findings import Judgement, Verdict
from driftd.doors.desks.baking import Source
from driftd.settings import load
from driftd.wiring.house import WiredHouse

pytestmark = [pytest.mark.machine, pytest.mark.servers, pytest.mark.timeout(600)]

CONFIG = """\
store: sqlite:///driftd.db
trust: {{unsigned: look}}
ssh: {{key: {key}}}
metrics: {{listen: ""}}
providers: {{local: {{dir: {dir}, images: {images}}}}}
groups:
  web:
    provider: local
    image: {image}
    policy: [{policy}]
"""
MINE = """\
schema: driftd.policy/1
name: mine
rules:
  - id: application
    match:
      listener: "tcp 0.0.0.0:8080"
      fields: {user: www-data}
    action: explain
    because: The application answers here.
"""
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SYSTEM = ("debian", "systemd", "shared-kernel", "sessions")


@dataclass
class Server:
    """One instance, looked at by whatever policy."""

    deployment: LocalDeployment
    root: Path
    template: str
    pid: int = 0
    address: str = ""

    def house(self, *names: str) -> WiredHouse:
        config = self.root / "driftd.yaml"
        config.write_text(self.template.replace("POLICY", ", ".join((*names, "mine.yaml"))))
        return WiredHouse(load(config), config)

    def look(self, *names: str) -> Judgement:
        (look,) = self.house(*names).audit(self.house(*names).find([]), strict=False)
        return look.judgement

    def inside(self, script: str) -> str:
        """Without any login, as an init would."""
        flags = ["--mount", "--pid", "--net", "--uts", "--ipc", "--root"]
        words = ["nsenter", "-t", str(self.pid), *flags, "env", "-i", PATH, "sh", "-ec", f"cd /\n{script}"]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, (script, done.stdout, done.stderr)
        return done.stdout


@pytest.fixture(scope="module")
def server(image_cache, login_key) -> Iterator[Server]:
    root = Path(tempfile.mkdtemp(prefix="pr-"))
    image = packed_image(image_cache)
    deployment = LocalDeployment(root, image_cache, image, login_key)
    options = {"key": login_key, "dir": deployment.dir, "images": image_cache, "image": image.id, "policy": "POLICY"}
    (root / "mine.yaml").write_text(MINE)
    (root / "manifests").mkdir()
    one = Server(deployment, root, CONFIG.format(**options))
    try:
        house = one.house("auto", "shared-kernel", "sessions")
        house.baking().bake(Source(root=image.rootfs), image.id, house.manifests.path_for(image.id))
        instance = deployment.launch()
        # cloud-init gives it another name, by which nobody finds it.
        one.pid, one.address = pid_of(instance), instance.address
        wait_until(lambda: "accepting" in one.inside("pg_isready || true"), "PostgreSQL", 60)
        yield one
    finally:
        deployment.clean()
        shutil.rmtree(root)


def told(judgement: Judgement) -> list[str]:
    return [shown(one) for one in judgement.findings]


def quiet(server: Server) -> None:
    judgement = server.look("auto", "shared-kernel", "sessions")
    assert told(judgement) == [], judgement.reason
    assert judgement.verdict is Verdict.EXPLAINED


def subjects(server: Server, *packs: str) -> set[str]:
    return {one.subject.decode() for one in server.look(*SYSTEM, *packs).findings}


def test_it_is_quiet_after_the_boot(server):
    quiet(server)


def test_without_its_pack_each_service_is_a_finding(server):
    found = subjects(server)
    assert {"tcp 0.0.0.0:80", "tcp 127.0.0.1:5432"} <= found
    assert any(one.startswith("/var/lib/postgresql/15/main/") for one in found)
    assert not any(
        one.startswith(("/var/lib/postgresql", "tcp 127.0.0.1:5432")) for one in subjects(server, "postgres")
    )
    assert "tcp 0.0.0.0:80" not in subjects(server, "nginx")


def test_nginx_at_work(server):
    for _ in range(20):
        fetch(server.address, 80)
    server.inside("head -c 300000 /dev/zero >/tmp/body; python3 - <<'X'\n"
                  "import http.client\n"
                  "c = http.client.HTTPConnection('127.0.0.1', 80)\n"
                  "c.request('POST', '/', body=open('/tmp/body', 'rb').read())\n"
                  "print(c.getresponse().status)\nX\n"
                  "nginx -s reopen; nginx -s reload")  # fmt: skip
    quiet(server)


def test_postgresql_at_work(server):
    server.inside(
        "su postgres -c \"psql -qc 'create database shop' && "
        "psql -q shop -c 'create table t (i int, x text)' "
        "-c 'insert into t select i, md5(i::text) from generate_series(1, 20000) i' -c 'create index on t (x)' "
        "-c 'delete from t where i % 3 = 0' -c 'vacuum full t' -c checkpoint\""
    )
    quiet(server)
    server.inside("pg_ctlcluster 15 main restart; su postgres -c 'psql -qc \"drop database shop\"'")
    quiet(server)


def test_cloud_init_sets_the_server_up(server):
    server.inside(
        "cloud-init init --local; cloud-init init; cloud-init modules --mode config; cloud-init modules --mode final"
    )
    assert server.inside("readlink /var/lib/cloud/instance").strip() == "/var/lib/cloud/instances/i-0packed"
    without = subjects(server, "nginx", "postgres")
    assert "/var/lib/cloud/instance" in without
    assert "/etc/sudoers.d/90-cloud-init-users" in without
    quiet(server)


NEAR = {
    "a-sudoers-file-beside-it": (
        "echo 'eve ALL=(ALL) NOPASSWD:ALL' >/etc/sudoers.d/91-eve; chmod 440 /etc/sudoers.d/91-eve",
        "/etc/sudoers.d/91-eve",
        "rm /etc/sudoers.d/91-eve",
    ),
    "a-program-in-its-state": (
        "cp /bin/true /var/lib/cloud/data/true",
        "/var/lib/cloud/data/true",
        "rm /var/lib/cloud/data/true",
    ),
    "a-script-for-each-boot": (
        "echo id >/var/lib/cloud/scripts/per-boot/x",
        "/var/lib/cloud/scripts/per-boot/x",
        "rm /var/lib/cloud/scripts/per-boot/x",
    ),
    "a-seed": (
        "echo '#cloud-config' >/var/lib/cloud/seed/nocloud/vendor-data",
        "/var/lib/cloud/seed/nocloud/vendor-data",
        "rm /var/lib/cloud/seed/nocloud/vendor-data",
    ),
    "a-site": (
        "echo 'server { listen 81; }' >/etc/nginx/sites-enabled/x",
        "/etc/nginx/sites-enabled/x",
        "rm /etc/nginx/sites-enabled/x",
    ),
    "who-may-connect": (
        "echo 'host all all 0.0.0.0/0 trust' >>/etc/postgresql/15/main/pg_hba.conf",
        "/etc/postgresql/15/main/pg_hba.conf",
        "sed -i '$d' /etc/postgresql/15/main/pg_hba.conf",
    ),
    "settings-among-the-data": (
        "su postgres -c 'psql -qc \"alter system set log_statement = ddl\"'",
        "/var/lib/postgresql/15/main/postgresql.auto.conf",
        "su postgres -c 'psql -qc \"alter system reset all\"'",
    ),
    "a-key-of-the-database": (
        "mkdir -m 700 /var/lib/postgresql/.ssh; echo ssh-ed25519 x >/var/lib/postgresql/.ssh/authorized_keys",
        "/var/lib/postgresql/.ssh/authorized_keys",
        "rm -r /var/lib/postgresql/.ssh",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", NEAR)
def test_what_comes_near_is_a_finding_all_the_same(server, case):
    change, subject, undo = NEAR[case]
    server.inside(change)
    found = server.look("auto", "shared-kernel", "sessions")
    assert subject in {one.subject.decode() for one in found.findings}
    server.inside(undo)
    quiet(server)
