"""What stands behind the emulator in tests: the local provider's servers, their data volumes, and an SSM agent."""

from __future__ import annotations

import base64
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from servers import LocalDeployment, answers, pid_of, wait_until

from driftd.testing.aws import behind
from driftd.testing.aws.behind import listening

__all__ = ["Behind", "listening"]
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SPACES = ("--mount", "--pid", "--net", "--uts", "--ipc", "--root", "--wd=/")
PLUGIN = "awsrunShellScript/0.awsrunShellScript"
PUSHED = "/run/pushed-keys"  # in memory, as /run is


class Behind(behind.Behind):
    """``deployment`` has traffic, and one volume for each that AWS will have."""

    def __init__(self, deployment: LocalDeployment) -> None:
        assert deployment.provider
        super().__init__(deployment.provider, deployment.image.id)
        self.deployment = deployment
        self.agent: Callable[[Mapping[str, Any]], Mapping[str, Any]] | None = (
            None  # who runs commands; may call ``run``
        )
        self.keyless = False  # what is launched from now on lets nobody log in
        self.spoiled = ""  # what changes whoever is launched from now on, before anybody looks

    # --- what a test asks ---

    def _inside(self, aws_id: str) -> list[str]:
        """The words before a command that is to run on the server, without a login."""
        return ["nsenter", "-t", str(pid_of(self.server(aws_id))), *SPACES, "env", "-i", "--chdir=/", PATH]

    def changed(self, aws_id: str, script: str) -> None:
        """Somebody changes something there, and nobody logs in for it."""
        subprocess.run([*self._inside(aws_id), "sh", "-ec", script], check=True, timeout=60)

    # --- what the emulator says ---

    def told(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        if said["do"] == "command":  # it may last long, and nobody waits for it
            return (self.agent or self.run)(said)
        return super().told(said)

    def do_launch(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        made = super().do_launch(said)
        if self.keyless:
            wait_until(lambda: answers(made["address"], 22), "a server")
            self.changed(said["id"], "rm -r /root/.ssh")
        if self.spoiled:
            self.changed(said["id"], self.spoiled)
        return made

    def do_image(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """The disk of a data volume; a root is an overlay here, and becomes a disk of its own."""
        if said["volume"] not in self.disks:
            return {"file": self._root_disk(self.ours[said["of"]])} if said.get("of") in self.ours else {}
        found = sorted((self.deployment.dir / "volumes" / self.disks[said["volume"]]).glob("disk-*.img"))
        return {"file": str(found[0])} if found else {}

    # What sshd asks for there is in place of the metadata service: see ``tests/aws/pushed.py``.

    def do_key(self, said: Mapping[str, Any]) -> None:
        """A pushed key is good from now on. Where no sshd asks for such keys it changes nothing."""
        file = self._pushed(said)
        file.parent.mkdir(exist_ok=True)
        with file.open("a") as stream:
            stream.write(said["key"] + "\n")

    def do_unkey(self, said: Mapping[str, Any]) -> None:
        """And from now on no more."""
        file = self._pushed(said)
        new = file.with_name(f"{file.name}.new")
        new.write_text("".join(f"{key}\n" for key in file.read_text().splitlines() if key != said["key"]))
        new.rename(file)

    def _pushed(self, said: Mapping[str, Any]) -> Path:
        """From outside: whoever went in for it would be somebody who was there."""
        return Path(f"/proc/{pid_of(self.server(said['id']))}/root{PUSHED}/{said['user']}")

    def _root_disk(self, local_id: str) -> str:
        """An ext4 file system with all that the server's root has now."""
        home, place = self.deployment.dir / "instances" / local_id, self.deployment.root
        disk, merged = place / f"root-{local_id}.img", place / f"root-{local_id}"
        merged.mkdir(exist_ok=True)
        disk.unlink(missing_ok=True)
        layers = f"ro,lowerdir={home / 'upper'}:{self.deployment.image.rootfs}"
        words = ["mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-d", str(merged), str(disk), "600M"]
        subprocess.run(["mount", "-t", "overlay", "overlay", "-o", layers, str(merged)], check=True, timeout=60)
        try:
            subprocess.run(words, check=True, timeout=60)
        finally:
            subprocess.run(["umount", str(merged)], check=True, timeout=60)
        if not (self.deployment.image.rootfs / "lost+found").exists():
            subprocess.run(["debugfs", "-w", "-R", "rmdir /lost+found", str(disk)], check=True, capture_output=True)
        return str(disk)

    def run(self, said: Mapping[str, Any]) -> Mapping[str, Any]:
        """As the agent does: root, by ``sh -c`` of a script in a directory of the command's own, which stays."""
        script = "\n".join(said["commands"]) + "\n"
        folder = f"/var/lib/amazon/ssm/{said['id']}/document/orchestration/{uuid4()}/{PLUGIN}"
        start = f"umask 077; mkdir -p {folder}; cat >{folder}/_script.sh; chmod 700 {folder}/_script.sh"
        words = [*self._inside(said["id"]), "sh", "-c", f"{start}; exec sh -c {folder}/_script.sh"]
        try:
            done = subprocess.run(
                words, input=script.encode(), capture_output=True, timeout=said.get("timeout") or 60, check=False
            )
        except subprocess.TimeoutExpired:
            return {"status": -1, "out": "", "err": ""}
        out, err = (base64.b64encode(one).decode() for one in (done.stdout, done.stderr))
        return {"status": done.returncode, "out": out, "err": err}
