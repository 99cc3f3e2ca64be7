"""mtree(8) and aide(1): what each says of a tree that it recorded before, in driftd's words.

What they say is ``{path: fields}``: fields as ``core/drift.py`` names them, "added" or "removed". Of times, inodes and
the sizes of directories they are not asked.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from pathlib import Path
from typing import ClassVar

from planting import paths

Said = dict[bytes, set[str]]


class Mtree:
    """NetBSD's mtree: every keyword that it has on Linux but the times."""

    KEYWORDS = "type,mode,uid,gid,size,link,nlink,sha256,device"
    WORDS: ClassVar = {
        b"type": "kind",
        b"permissions": "mode",
        b"uid": "uid",
        b"user": "uid",
        b"gid": "gid",
        b"group": "gid",
        b"size": "size",
        b"link ref": "target",
        b"link count": "same",
        b"sha256": "sha256",
        b"device": "rdev",
    }
    _LINE = re.compile(rb"^[ :\t]*(" + b"|".join(WORDS) + rb") \(")

    def __init__(self, root: bytes, place: Path) -> None:
        self._root = root
        self._spec = place / "tree.mtree"
        self._known: set[bytes] = set()

    def record(self) -> None:
        self._known = paths(self._root)
        with self._spec.open("wb") as out:
            subprocess.run(["mtree", "-c", "-k", self.KEYWORDS, "-p", self._root], stdout=out, check=True)

    def compare(self) -> Said:
        run = subprocess.run(["mtree", "-f", self._spec, "-p", self._root], capture_output=True, check=False)
        assert run.returncode in (0, 2), run
        assert not run.stderr, run.stderr
        return self._parsed(run.stdout)

    def _parsed(self, text: bytes) -> Said:
        """Names stand there as they are, newlines and all, so only who knows the names can read it."""
        heads: dict[bytes, tuple[bytes, str]] = {}
        for path in self._known | paths(self._root):
            name = path[1:] or b"."
            heads[b"extra: " + name + b"\n"] = path, "added"
            heads[b"missing: ./" + name + b"\n"] = path, "removed"
            heads[name + b": "] = heads[name + b":\t"] = path, ""
        ordered = sorted(heads, key=len, reverse=True)
        said: Said = {}
        at, into = 0, set[str]()
        while at < len(text):
            head = next((one for one in ordered if text.startswith(one, at)), b"")
            assert at or head, text
            path, word = heads.get(head, (b"", ""))
            into = said.setdefault(path, set()) if head else into
            at += len(head)
            if word:
                into.add(word)
                continue
            end = text.find(b"\n", at) + 1 or len(text)
            into.update(self.WORDS[one] for one in self._LINE.findall(text[at - 1 if head else at : end]))
            at = end
        assert all(said.values()), text
        return said


class Aide:
    """AIDE with all that it can compare but the times."""

    FIELDS: ClassVar = {
        "file_type": "kind",
        "perm": "mode",
        "uid": "uid",
        "gid": "gid",
        "size": "size",
        "link_name": "target",
        "link_count": "same",
        "sha256": "sha256",
        "acl": "acl",
        "xattrs": "xattr",
        "capabilities": "xattr",
        "e2fsattrs": "flags",
    }

    def __init__(self, root: bytes, place: Path) -> None:
        self._root = root
        self._config, self._old, self._new = place / "aide.conf", place / "aide.db", place / "aide.new"
        self._known: set[bytes] = set()
        self.unclear: set[bytes] = set()  # paths of which two are one and the same name in its last report
        self._config.write_text(
            f"database_in=file:{self._old}\ndatabase_out=file:{self._new}\ngzip_dbout=no\n"
            f"root_prefix={os.fsdecode(root)}\nreport_format=json\nreport_level=changed_attributes\n"
            # What chattr(1) calls read-only: the file system's own (extents, an index in a directory, …).
            "report_ignore_e2fsattrs=VNIEe\nreport_url=stdout\nacl_no_symlink_follow=yes\n"
            "Entry=ftype+p+l+u+g+xattrs+e2fsattrs\n"
            # Of a link it would read the access list and the capabilities of what that leads to.
            "/ d Entry+acl+caps\n/ l Entry+n\n/ Entry+n+s+acl+caps+sha256\n"
        )

    def record(self) -> None:
        self._known = paths(self._root)
        self._run("--init", 0)
        self._new.replace(self._old)

    def compare(self) -> Said:
        spelled: dict[str, list[bytes]] = {}
        for path in self._known | paths(self._root):
            spelled.setdefault(_spelled(path), []).append(path)
        self.unclear = {path for alike in spelled.values() if len(alike) > 1 for path in alike}
        text = self._run("--check", *range(8)).decode("utf-8", "surrogateescape")
        report = json.loads(text, strict=False, object_pairs_hook=list)  # of two names alike, both
        sections = {name: rows for name, rows in report if isinstance(rows, list)}
        said: Said = {}
        for section in ("added", "removed"):
            for name, _ in sections.get(section, []):
                said[spelled[name][0]] = {section}
        for name, details in sections.get("details", []):
            told = {word for what, values in details for word in self._words(what, dict(values))}
            said.setdefault(spelled[name][0], told)
        assert {name for name, _ in sections.get("changed", [])} <= {name for name, _ in sections.get("details", [])}
        return {path: fields for path, fields in said.items() if path not in self.unclear}

    def _words(self, name: str, values: dict[str, object]) -> set[str]:
        if name != "e2fsattrs":
            return {self.FIELDS[name]}
        before, after = (set(str(values[side])) for side in ("old", "new"))
        changed = before ^ after
        return ({"flags"} if changed & {"i", "a"} else set()) | ({"other flags"} if changed - {"i", "a"} else set())

    def _run(self, what: str, *allowed: int) -> bytes:
        run = subprocess.run(["aide", "-c", self._config, what], capture_output=True, check=False)
        assert run.returncode in allowed, run
        lines = [line for line in run.stderr.splitlines() if b"ACL on" not in line]  # it tries those of links
        assert not lines, run.stderr
        return run.stdout


def _spelled(path: bytes) -> str:
    """A name as AIDE 0.18 writes it in JSON: control characters by their decimal number, and 31 not at all."""
    text = path.decode("utf-8", "surrogateescape")
    return "".join(chr(int(str(ord(c)), 16)) if c in _NUMBERED else c for c in text)


_NUMBERED = {chr(number) for number in (*range(1, 31), 127)} - set("\b\t\n\f\r")
