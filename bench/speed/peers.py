"""The others: AIDE, find with openssl, mtree, bsdtar and the C programs, each run as its users run it."""

from __future__ import annotations

import base64
import json
import os
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.speed import place, spending
from bench.speed.planted import Planted
from bench.speed.spending import Spent

WORKERS = 2


@dataclass(frozen=True)
class Bed:
    """What every measurement needs: the tree's root, and where to write."""

    root: Path
    work: Path
    spent: Path
    limit: Path

    @classmethod
    def made(cls, root: Path, cache: Path) -> Bed:
        """With the C programs built."""
        return cls(root, place.scratch(cache), place.built("spent", cache), place.built("limit", cache))

    def run(self, out: str, *words: str | Path, allowed=(0,)) -> Spent:
        """A peer, at the priority that the probe gives itself; its output is in the file ``out`` of ``work``."""
        return spending.run(self.spent, words, out=self.work / out, nice=spending.NICE, allowed=allowed)


class Aide:
    """AIDE with what driftd looks at: SHA-256, mode, owner, size, link, extended attributes, access lists, flags."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed
        self._config, self._old, self._new = (bed.work / name for name in ("aide.conf", "aide.db", "aide.new"))
        self._config.write_text(
            f"database_in=file:{self._old}\ndatabase_out=file:{self._new}\ngzip_dbout=no\nnum_workers={WORKERS}\n"
            f"root_prefix={bed.root}\nreport_format=json\nreport_level=changed_attributes\n"
            "report_ignore_e2fsattrs=VNIEe\nreport_url=stdout\nacl_no_symlink_follow=yes\n"
            "Entry=ftype+p+l+u+g+xattrs+e2fsattrs\n"
            "/ d Entry+acl+caps\n/ l Entry+n\n/ Entry+n+s+acl+caps+sha256\n"
        )

    def record(self) -> None:
        """What is there now is what should be."""
        self.init()
        self._new.replace(self._old)

    def init(self) -> Spent:
        """``aide --init``."""
        return self._bed.run("aide.out", "aide", "-c", self._config, "--init")

    def check(self) -> Spent:
        """``aide --check`` against what was recorded."""
        return self._bed.run("aide.out", "aide", "-c", self._config, "--check", allowed=range(8))

    def entries(self) -> int:
        """How many the last ``init`` wrote."""
        return sum(1 for line in self._new.open("rb") if line.startswith(b"/"))

    def saw(self, planted: Planted) -> bool:
        """Whether the database that ``init`` wrote last has the changed file as it is now."""
        name, digest = planted.changed + b" ", base64.b64encode(planted.digest)
        return any(line.startswith(name) and digest in line for line in self._new.open("rb"))

    def found(self) -> frozenset[bytes]:
        """The paths that the last ``check`` reported."""
        report = json.loads((self._bed.work / "aide.out").read_bytes(), strict=False)
        named = {name for section in ("added", "removed", "changed") for name in report.get(section, {})}
        return frozenset(os.fsencode(name) for name in named)


class Openssl:
    """``find … -print0 | xargs -0 -P2 openssl dgst -sha256``: digests alone, by the fastest SHA-256 that Debian has."""

    SHELL = f'cd "$0" && find . -type f -print0 | xargs -0 -P{WORKERS} openssl dgst -sha256'

    def __init__(self, bed: Bed) -> None:
        self._bed = bed

    def run(self) -> Spent:
        """All files of the tree."""
        return self._bed.run("openssl.out", "sh", "-c", self.SHELL, self._bed.root)

    def saw(self, planted: Planted) -> bool:
        """Whether the changed file's digest came. With -P2 lines are torn apart now and then: half of it will do."""
        said, digest = (self._bed.work / "openssl.out").read_bytes(), planted.digest.hex().encode()
        return digest[:32] in said or digest[32:] in said


class Limit:
    """bench/limit/limit.c."""

    def __init__(self, bed: Bed) -> None:
        self._bed = bed

    def lstat(self) -> Spent:
        """Every name is stat'ed."""
        return self._bed.run("lstat.out", self._bed.limit, "lstat", self._bed.root)

    def sha256(self, processes: int = 1) -> Spent:
        """And every file is read and hashed."""
        return self._bed.run("sha256.out", self._bed.limit, "sha256", self._bed.root, str(processes))

    def said(self, what: str = "sha256") -> tuple[int, int, int, int]:
        """Entries, files, bytes, and the sum over the digests, of the last run."""
        entries, files, size, total = map(int, (self._bed.work / f"{what}.out").read_text().split())
        return entries, files, size, total


def mtree(bed: Bed) -> Spent:
    """NetBSD's mtree with SHA-256."""
    words = "type,mode,uid,gid,size,link,nlink,sha256,device"
    return bed.run("mtree.out", "mtree", "-c", "-k", words, "-p", bed.root)


def bsdtar(bed: Bed) -> Spent:
    """The bsdtar of libarchive, which writes mtree's format with SHA-256."""
    options = "--options=mtree:!all,type,mode,uid,gid,size,link,nlink,sha256,device"
    return bed.run("bsdtar.out", "bsdtar", "--format=mtree", options, "-cf", "-", "-C", bed.root, ".")


def text_saw(bed: Bed, out: str, planted: Planted) -> bool:
    """Whether the changed file's digest stands in what mtree or bsdtar wrote."""
    return planted.digest.hex().encode() in (bed.work / out).read_bytes()


def versions() -> dict[str, str]:
    """What the others are, by dpkg."""
    names = ["aide", "mtree-netbsd", "libarchive-tools", "openssl", "findutils", "openssh-server", "gcc"]
    asked = partial(subprocess.run, capture_output=True, text=True, check=False)
    said = asked(["dpkg-query", "-W", "-f=${Package} ${Version}\\n", *names]).stdout
    return dict(line.split(" ", 1) for line in said.splitlines())
