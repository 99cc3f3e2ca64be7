"""A small signed archive of real packages: made with dpkg-deb and gpg, used by apt as it uses any other.

``greeter`` has a program, a setting for the administrator, a unit, a document and a script that makes an alternative.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

EPOCH = "1735689600"
RELEASE = """\
Origin: driftd tests
Suite: stable
Codename: {codename}
Date: Thu, 01 Jan 2026 00:00:00 UTC
Architectures: amd64
Components: main
SHA256:
"""
POSTINST = """\
#!/bin/sh
set -e
update-alternatives --install /usr/bin/hello hello /usr/bin/greet 10 >/dev/null
date +%s%N >/var/lib/greeter.stamp
"""


@dataclass
class Archive:
    """``keyring`` is what apt and gpgv trust; ``root`` is the archive's own directory."""

    root: Path
    home: Path

    @property
    def keyring(self) -> Path:
        return self.root / "keyring.gpg"

    def gpg(self, *words: str | Path) -> bytes:
        command = ["gpg", "--homedir", self.home, "--batch", "--quiet", "--yes", *words]
        return subprocess.run(command, check=True, capture_output=True).stdout

    def deb(self, name: str, version: str, files: dict[str, tuple[int, str]], **control: str) -> Path:
        """Build a package. ``control`` are files beside its control file."""
        tree = self.home / f"{name}-{version}"
        for path, (mode, text) in files.items():
            file = tree / path.lstrip("/")
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)
            file.chmod(mode)
        about = tree / "DEBIAN"
        about.mkdir()
        fields = {"Package": name, "Version": version, "Architecture": "amd64", "Maintainer": "nobody <n@example.org>"}
        text = "".join(f"{key}: {value}\n" for key, value in {**fields, "Description": "for tests"}.items())
        (about / "control").write_text(text)
        for script, body in control.items():
            (about / script).write_text(body)
            (about / script).chmod(0o755 if body.startswith("#!") else 0o644)
        for directory in [tree, *(path for path in tree.rglob("*") if path.is_dir())]:
            directory.chmod(0o755)
        made = self.root / f"{name}_{version.replace(':', '%3a')}_amd64.deb"
        command = ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", tree, made]
        subprocess.run(command, check=True, capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": EPOCH})
        return made

    def publish(self, codename: str = "tests") -> None:
        """Index whatever packages there are, and sign that."""
        stanzas = []
        for file in sorted(self.root.glob("*.deb")):
            control = subprocess.run(["dpkg-deb", "--field", file], check=True, capture_output=True, text=True).stdout
            data = file.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            stanzas.append(f"{control}Filename: ./{file.name}\nSize: {len(data)}\nSHA256: {digest}\n")
        plain = "\n".join(stanzas).encode()
        lines = ""
        for name, index in (("Packages", plain), ("Packages.gz", gzip.compress(plain, mtime=0))):
            (self.root / name).write_bytes(index)
            lines += f" {hashlib.sha256(index).hexdigest()} {len(index)} {name}\n"
        (self.root / "Release").write_text(RELEASE.format(codename=codename) + lines)
        self.gpg("--clearsign", "--output", self.root / "InRelease", self.root / "Release")
        self.gpg("--armor", "--detach-sign", "--output", self.root / "Release.gpg", self.root / "Release")


def archive(root: Path, name: str = "archive") -> Archive:
    """An empty archive with a key of its own."""
    made = Archive(root / name, root / f"{name}-home")
    made.root.mkdir(parents=True)
    made.home.mkdir(mode=0o700)
    made.gpg("--passphrase", "", "--quick-generate-key", f"{name} <{name}@example.org>", "ed25519", "sign", "never")
    made.keyring.write_bytes(made.gpg("--export"))
    return made


def greeter(place: Archive, version: str) -> Path:
    """One version of ``greeter``; what is in it says which."""
    files = {
        "/usr/bin/greet": (0o755, f"#!/bin/sh\necho hello {version}\n"),
        "/usr/share/greeter/words": (0o644, f"hello {version}\n"),
        "/usr/share/greeter/gone-in-2" if version.startswith("1") else "/usr/share/greeter/new-in-2": (0o644, "x\n"),
        "/usr/share/doc/greeter/copyright": (0o644, "free\n"),
        "/lib/systemd/system/greeter.service": (0o644, f"[Service]\nExecStart=/usr/bin/greet {version}\n"),
        "/etc/greeter.conf": (0o644, f"version={version}\n"),
    }
    return place.deb("greeter", version, files, postinst=POSTINST, conffiles="/etc/greeter.conf\n")
