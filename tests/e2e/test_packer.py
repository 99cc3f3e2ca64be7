"""docs/examples/packer, run by Debian's packer: an image looked at from within and from without, and signed.

A local server stands for the guest; the null builder leaves nothing, so the test's own ``finish`` makes the artifact.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from driftd.core import manifesttext

TEMPLATE = Path(__file__).parents[2] / "docs/examples/packer"
DRIFTD = Path(sys.executable).parent / "driftd"
IMAGE = "web-7"
pytestmark = [pytest.mark.servers, pytest.mark.machine, pytest.mark.timeout(300)]


@dataclass
class Build:
    """One guest, and what packer makes of it."""

    place: Path
    deployment: object
    guest: object

    @property
    def manifests(self) -> Path:
        return self.place / "manifests"

    def finish(self, kind: str) -> tuple[Path, str]:
        """The artifact, and the shell command that makes it of the guest: its file system as the disk would have it."""
        tree, lower = self.place / "tree", self.deployment.images / self.deployment.image.id / "rootfs"
        upper = self.deployment.upper(self.guest)
        mount = self.place / "mount"
        mount.mkdir()
        overlay = f"mount -t overlay overlay -o ro,lowerdir={upper}:{lower} {mount}"
        copied = f"unshare --mount sh -ec '{overlay}; cp -a {mount} {tree}'"
        if kind == "root":
            return tree, copied
        disk = self.place / "disk.raw"
        return disk, f"{copied}; truncate -s 2G {disk}; mke2fs -q -t ext4 -d {tree} {disk}"

    def packer(self, kind: str = "root", finish: str = "", **variables: str) -> subprocess.CompletedProcess[str]:
        artifact, command = self.finish(kind)
        given = {
            "image": IMAGE,
            "artifact": str(artifact),
            "artifact_kind": kind,
            "manifests": str(self.manifests),
            "signing_key": str(self.place / "release"),
            "driftd": str(DRIFTD),
            "host": self.guest.address,
            "key": str(self.deployment.key),
            "finish": command + (f"; {finish.format(tree=artifact)}" if finish else ""),
            **variables,
        }
        words = [word for name, value in given.items() for word in ("-var", f"{name}={value}")]
        environment = {**os.environ, "CHECKPOINT_DISABLE": "1", "PACKER_CACHE_DIR": str(self.place / "cache")}
        environment["HOME"] = str(self.place)
        environment["DRIFTD_STORE"] = f"sqlite:///{self.place}/driftd.db"
        environment["DRIFTD_KEYS"] = str(self.place / "keys")
        command = ["packer", "build", "-color=false", *words, str(TEMPLATE)]
        return subprocess.run(
            command, cwd=self.place, env=environment, capture_output=True, text=True, check=False, timeout=240
        )

    def driftd(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([DRIFTD, *words], cwd=self.place, capture_output=True, text=True, check=False)


@pytest.fixture
def build(local_deployment) -> Build:
    place = local_deployment.root / "packer"
    (place / "manifests").mkdir(parents=True)
    made = Build(place, local_deployment, local_deployment.launch("web/0"))
    assert made.driftd("manifest", "keygen", str(place / "release")).returncode == 0
    return made


def test_the_looks_from_within_and_without_agree_and_are_signed(build: Build) -> None:
    build.deployment.ssh(build.guest, "mkdir -m 700 /lost+found")  # as on any disk
    done = build.packer("disk")
    assert done.returncode == 0, done.stdout
    assert "nothing differs" in done.stdout
    manifest = build.manifests / f"{IMAGE}.manifest"
    verified = build.driftd("manifest", "verify", str(manifest), "--key", str(build.place / "release.pub"))
    assert verified.returncode == 0, verified.stdout + verified.stderr
    made = manifesttext.decode(manifest.read_bytes())
    inside = manifesttext.decode((build.manifests / f"{IMAGE}.inside").read_bytes())
    assert (made.provisional, inside.provisional) == (False, True)
    assert made.closed == inside.closed
    sizes = {entry.path: entry.size for entry in made.entries}
    assert {b"/etc/motd", b"/opt/app/release"} <= sizes.keys()
    assert not [path for path in sizes if path.startswith(b"/etc/ssh/ssh_host_")]
    assert b"/root/.ssh/authorized_keys" not in sizes
    assert sizes[b"/etc/machine-id"] == 0
    (run,) = json.loads((build.manifests / f"{IMAGE}.packer.json").read_text())["builds"]
    assert run["custom_data"] == {"image": IMAGE, "manifest": f"{IMAGE}.manifest"}
    assert run["packer_run_uuid"]


def test_an_artifact_that_is_not_what_was_seen_within_is_no_image(build: Build) -> None:
    done = build.packer(finish="echo evil >{tree}/usr/bin/evil; chmod 755 {tree}/usr/bin/evil")
    assert done.returncode == 1
    assert "/usr/bin/evil" in done.stdout
    assert "1 added" in done.stdout
    assert not (build.manifests / f"{IMAGE}.manifest.dsse.json").exists()
    assert not (build.manifests / f"{IMAGE}.packer.json").exists()


def test_the_template_is_in_packers_own_form() -> None:
    done = subprocess.run(
        ["packer", "fmt", "-check", "-diff", str(TEMPLATE)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout


def test_the_page_shows_the_template_as_it_is() -> None:
    page = (TEMPLATE.parents[1] / "packer.md").read_text()
    for name in ("image.pkr.hcl", "clean.sh", "forget.sh"):
        assert f"(examples/packer/{name})" in page
    template = (TEMPLATE / "image.pkr.hcl").read_text()
    (shown,) = re.findall(r"```hcl\n(.*?)```", page, re.DOTALL)
    assert shown.strip() in template
