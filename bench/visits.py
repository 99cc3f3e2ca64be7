"""What a login by certificate costs beside one by key, to a real sshd on loopback.

    python bench/visits.py [--times 100]

Connections in turn, one with the key and one with a certificate that is made for it, up to the login and no further,
by ``driftd.edges.ssh.connect``; and making a certificate alone. Needs OpenSSH's server, as root.
"""

from __future__ import annotations

import argparse
import contextlib
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from driftd.core.facts import Reach
from driftd.edges.ssh.certificates import authority
from driftd.edges.ssh.connect import connect
from driftd.edges.ssh.options import CertificateOptions, SshOptions
from driftd.edges.ssh.tcp import Deadline


def key(path: Path) -> Path:
    """A new key without a passphrase."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", path], check=True)
    return path


@contextlib.contextmanager
def server(home: Path) -> Iterator[tuple[int, SshOptions, CertificateOptions]]:
    """An sshd that lets root in by a key and by certificates; its port, and driftd's options for either."""
    host, client, ca = (key(home / name) for name in ("host", "client", "ca"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (home / "keys").write_text(Path(f"{client}.pub").read_text())
    (home / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {host}\nPidFile none\nUsePAM no\nStrictModes no\n"
        f"AuthorizedKeysFile {home}/keys\nTrustedUserCAKeys {ca}.pub\n"
    )
    known = home / "known_hosts"
    known.write_text(f"[127.0.0.1]:{port} {Path(f'{host}.pub').read_text()}")
    Path("/run/sshd").mkdir(exist_ok=True)
    daemon = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", home / "config"], stderr=subprocess.DEVNULL)
    try:
        until = time.monotonic() + 10
        while time.monotonic() < until:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port)):
                break
        yield port, SshOptions(key_file=str(client), known_hosts=(known,), agent=False), CertificateOptions(str(ca))
    finally:
        daemon.terminate()
        daemon.wait()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--times", type=int, default=100)
    times = parser.parse_args().times
    taken: dict[str, list[float]] = {"key": [], "certificate": [], "made": []}
    with tempfile.TemporaryDirectory() as home, server(Path(home)) as (port, by_key, made):
        reach = Reach("127.0.0.1", port, "root")
        by_certificate = replace(by_key, key_file="", certificate=made)
        for _ in range(times):
            for name, options in (("key", by_key), ("certificate", by_certificate)):
                began = time.perf_counter()
                with connect(reach, options, Deadline(60)):
                    taken[name].append(time.perf_counter() - began)
            began = time.perf_counter()
            authority(made).mint("5ca9", "root", "127.0.0.1", "true")
            taken["made"].append(time.perf_counter() - began)
    middle = {name: statistics.median(each) for name, each in taken.items()}
    for name, each in middle.items():
        print(f"{name:12} {each * 1000:6.2f} ms (median of {times})")
    print(f"a login by certificate takes {middle['certificate'] / middle['key']:.2f} times as long as one by key")


if __name__ == "__main__":
    main()
