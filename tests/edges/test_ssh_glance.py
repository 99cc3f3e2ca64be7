"""Over a real sshd: a look costs what changed since the last one, and sees what a whole look sees."""

import os
import time
from dataclasses import replace

import pytest
from sshd import ME

from driftd.core.facts import Instance, Reach, Unseen
from driftd.core.fingerprint import Extent, Fingerprint
from driftd.core.interned import Interned
from driftd.edges.recollections import RecollectionDirectory
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions

pytestmark = [pytest.mark.machine, pytest.mark.servers]


class Seen:
    """Looks at a tree behind ``server``: glances, and whole ones to hold them against."""

    def __init__(self, server, root, cache):
        reach = Reach("127.0.0.1", server.port, ME, str(server.client_key))
        self.instance = Instance("i-1", "web", "img", reach=reach)
        self.options = SshOptions(known_hosts=(server.known_hosts,), agent=False, root=str(root))
        self.recollections = RecollectionDirectory(cache, 1 << 30)
        self.stats = []
        self.image = Interned(self.whole().entries)

    def whole(self):
        seen = SshLooker(self.options).look(self.instance, deadline_s=60)
        assert isinstance(seen, Fingerprint), seen
        return seen

    def glance(self, **more):
        looker = SshLooker(replace(self.options, **more), lambda _, stats: self.stats.append(stats), self.recollections)
        seen = looker.look(self.instance, deadline_s=60, image=self.image)
        assert isinstance(seen, Fingerprint), seen
        whole = self.whole()
        assert (seen.entries, seen.root, seen.facts) == (whole.entries, whole.root, whole.facts)
        return seen


@pytest.fixture
def seen(server, tmp_path):
    root = tmp_path / "root"
    for number in range(20):
        directory = root / f"d{number}"
        directory.mkdir(parents=True)
        (directory / "file").write_text(f"{number}")
    (root / "etc").mkdir()
    (root / "etc" / "passwd").write_text("root:x:0:0::/root:/bin/sh\n")
    time.sleep(2.1)  # what changed just now is read again the next time
    return Seen(server, root, tmp_path / "looks")


def test_the_second_look_reads_nothing_and_a_later_one_what_moved(seen, tmp_path):
    assert seen.glance().extent is Extent.WHOLE
    assert seen.glance().extent is Extent.SAME
    (tmp_path / "root/d3/file").write_text("another")
    moved = seen.glance()
    assert (moved.extent, moved.coverage.bytes_hashed) == (Extent.CHANGES, len("another"))
    assert [path for path, _ in moved.apart.changes.items()] == [b"/d3/file"]


def test_where_nothing_changed_nothing_is_written(seen, tmp_path):
    seen.glance()
    before = {file: file.stat().st_ino for file in (tmp_path / "looks").iterdir()}
    seen.glance()
    assert {file: file.stat().st_ino for file in (tmp_path / "looks").iterdir()} == before
    held = {file: file.read_bytes() for file in before}
    (tmp_path / "root/d3/file").write_text("another")
    seen.glance()
    assert not [file for file, data in held.items() if file.read_bytes() == data]


def test_what_is_kept_is_nobody_elses(seen, tmp_path):
    seen.glance()
    files = list((tmp_path / "looks").iterdir())
    assert len(files) == 2
    assert {file.stat().st_mode & 0o777 for file in files} == {0o600}
    assert (tmp_path / "looks").stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("how", ["gone", "cut", "garbled", "of another", "a directory"])
def test_a_cache_that_is_no_good_costs_a_whole_look(seen, tmp_path, how):
    seen.glance()
    (tmp_path / "root/d3/file").write_text("another")
    for file in (tmp_path / "looks").iterdir():
        data = file.read_bytes()
        if how == "gone":
            file.unlink()
        elif how == "cut":
            file.write_bytes(data[:-7])
        elif how == "garbled":
            file.write_bytes(data[:60] + os.urandom(9) + data[69:])
        elif how == "a directory":
            file.unlink()
            file.mkdir()
    if how == "of another":
        seen.recollections.keep("i-2", seen.recollections.head("i-1"), seen.recollections.directories("i-1"))
        seen.instance = replace(seen.instance, id="i-2")
    assert seen.glance().extent is Extent.WHOLE
    if how != "a directory":
        assert seen.glance().extent is not Extent.WHOLE


def test_a_cache_that_cannot_be_written_is_told_and_nothing_else(seen, tmp_path):
    (tmp_path / "looks").write_text("not a directory")
    assert seen.glance().extent is Extent.WHOLE
    assert seen.glance().extent is Extent.WHOLE


def test_the_longest_unused_goes_first(tmp_path):
    kept = RecollectionDirectory(tmp_path, 250)
    for number in range(65):
        kept.keep(f"i-{number}", b"h" * 50, None)
    assert sum(file.stat().st_size for file in tmp_path.iterdir()) <= 250
    assert kept.head("i-64") == b"h" * 50


def test_a_tenth_of_the_disk_stays_free(tmp_path, monkeypatch):
    kept = RecollectionDirectory(tmp_path / "looks", 1 << 30)
    kept.keep("i-1", b"head", b"names")
    real = os.statvfs(tmp_path)
    blocks = 10 * real.f_bavail + 10
    full = os.statvfs_result((real.f_bsize, real.f_frsize, blocks, *tuple(real)[3:]))
    monkeypatch.setattr(os, "statvfs", lambda _: full)
    kept.keep("i-1", b"another", b"names")
    assert (kept.head("i-1"), kept.directories("i-1")) == (b"", b"")


def test_an_instance_that_cannot_be_seen_leaves_nothing(seen):
    seen.glance()
    gone = replace(seen.instance, reach=replace(seen.instance.reach, port=1))
    looker = SshLooker(seen.options, None, seen.recollections)
    assert isinstance(looker.look(gone, deadline_s=5, image=seen.image), Unseen)
    assert seen.glance().extent is Extent.SAME
