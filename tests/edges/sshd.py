"""A real OpenSSH server of a test's own, on a high port of 127.0.0.1, with its own keys and configuration."""

from __future__ import annotations

import contextlib
import os
import pwd
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ME = pwd.getpwuid(os.geteuid()).pw_name


def free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


def keygen(path: Path, kind: str = "ed25519", passphrase: str = "") -> Path:
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", passphrase, "-C", "test", "-f", path], check=True)
    return path


def fingerprint(path: Path) -> str:
    out = subprocess.run(["ssh-keygen", "-lf", path], check=True, capture_output=True, text=True)
    return out.stdout.split()[1]


@dataclass
class Sshd:
    directory: Path
    port: int
    host_keys: dict[str, Path]
    client_key: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def known_hosts(self) -> Path:
        return self.directory / "known_hosts"

    def line(self, kind: str = "ed25519") -> str:
        """The public host key, as known_hosts and providers write it."""
        return " ".join(Path(f"{self.host_keys[kind]}.pub").read_text().split()[:2])

    def know(self, *kinds: str) -> None:
        lines = [f"[127.0.0.1]:{self.port} {self.line(kind)}\n" for kind in kinds or ("ed25519",)]
        self.known_hosts.write_text("".join(lines))

    def log(self) -> str:
        return (self.directory / "log").read_text(errors="replace")

    def start(self, extra: str = "") -> None:
        config = self.directory / "sshd_config"
        config.write_text(
            f"{extra}\nUsePAM no\nListenAddress 127.0.0.1\nPort {self.port}\nPidFile none\nLogLevel VERBOSE\n"
            f"StrictModes no\nAuthorizedKeysFile {self.directory}/authorized_keys\nPasswordAuthentication no\n"
            f"PermitRootLogin prohibit-password\nMaxStartups 100\n"
            + "".join(f"HostKey {path}\n" for path in self.host_keys.values())
        )
        Path("/run/sshd").mkdir(exist_ok=True)
        with (self.directory / "log").open("ab") as log:
            self.process = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", config], stderr=log)
        limit = time.monotonic() + 10
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert time.monotonic() < limit, self.log()
            assert self.process.poll() is None, self.log()
            time.sleep(0.02)

    def stop(self) -> None:
        if self.process is not None:
            self.process.terminate()
            self.process.wait(10)
            self.process = None

    def restart(self, extra: str = "") -> None:
        self.stop()
        self.start(extra)


@contextlib.contextmanager
def sshd(directory: Path, kinds: tuple[str, ...] = ("ed25519",), extra: str = "") -> Iterator[Sshd]:
    directory.mkdir(parents=True, exist_ok=True)
    directory.chmod(0o755)
    keys = {kind: keygen(directory / f"host_{kind}", kind) for kind in kinds}
    client = keygen(directory / "client")
    (directory / "authorized_keys").write_text(Path(f"{client}.pub").read_text())
    server = Sshd(directory, free_port(), keys, client)
    server.know(kinds[0])
    try:
        server.start(extra)
        yield server
    finally:
        server.stop()
