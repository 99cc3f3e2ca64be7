"""What a disk, a stranger or an accident may do to a store: one sentence each, and nothing lost."""

import os
import pwd
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from store_rows import NOW, instance, later

from driftd.core.chain import Broken, Verified
from driftd.core.errors import BadInput
from driftd.core.export import Header, body_line, head_line
from driftd.core.memory import StoreUnavailable
from driftd.edges.store import open_store


def url(path):
    return f"sqlite:///{path}"


@pytest.fixture
def path(tmp_path):
    """A store with three instances and three lines, closed."""
    where = tmp_path / "driftd.db"
    store = open_store(url(where))
    with store.write() as tx:
        for number in (1, 2, 3):
            tx.put_instance(instance(f"i-{number}"))
            tx.journal("decision", f"i-{number}", {"verdict": "clean", "é": ["x", number]}, later(number))
    store.close()
    return where


def refused(address, **options):
    with pytest.raises(StoreUnavailable) as caught:
        open_store(address, **options)
    assert str(caught.value).endswith(".")
    assert "\n" not in str(caught.value)
    assert "sqlalchemy" not in str(caught.value).lower()
    assert caught.value.hint
    return str(caught.value)


# --- a full disk -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path):
    """A real file system of two megabytes."""
    where = tmp_path / "small"
    where.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", where], check=True)
    yield where
    subprocess.run(["umount", where], check=True)


def fill(where, leave=0):
    room = os.statvfs(where)
    (where / "ballast").write_bytes(b"\0" * (room.f_bavail * room.f_frsize - leave))


def test_a_full_disk_loses_nothing_and_goes_on_when_there_is_room(small):
    store = open_store(url(small / "driftd.db"))
    kept = 0

    def write_for_ever():
        nonlocal kept
        while True:
            with store.write() as tx:
                tx.put_instance(instance(f"i-{kept}", reason="x" * 5000))
                tx.journal("observation", f"i-{kept}", {"n": kept}, NOW)
            kept += 1

    with pytest.raises(StoreUnavailable, match="disk is full") as caught:
        write_for_ever()
    assert "Make room" in caught.value.hint
    assert kept > 10
    for _ in range(3):  # it stays full, and stays said
        with pytest.raises(StoreUnavailable, match="disk is full"), store.write() as tx:
            tx.put_instance(instance("too-much", reason="x" * 100_000))
    with store.read() as tx:
        assert len(tx.instances()) == kept
    assert store.verify_journal().count == kept
    store.close()
    subprocess.run(["mount", "-o", "remount,size=8m", small], check=True)
    again = open_store(url(small / "driftd.db"))
    assert again.verify_journal().count == kept
    with again.write() as tx:
        assert len(tx.instances()) == kept
        tx.put_instance(instance("more", reason="x" * 5000))
    again.close()


@pytest.mark.parametrize("leave", [0, 4096, 16384, 65536])
def test_a_new_store_on_a_full_disk(small, leave):
    fill(small, leave)
    said = refused(url(small / "driftd.db"))
    assert "full" in said or "no space" in said
    (small / "ballast").unlink()
    open_store(url(small / "driftd.db")).close()  # what the failed attempt left is no hindrance


def test_a_store_that_exists_is_read_on_a_full_disk(small):
    store = open_store(url(small / "driftd.db"))
    with store.write() as tx:
        tx.put_instance(instance())
    fill(small)
    with store.read() as tx:
        assert len(tx.instances()) == 1
    store.close()


# --- the wrong file --------------------------------------------------------------------------------------------------


def test_a_directory_that_is_missing(tmp_path):
    assert "does not exist" in refused(url(tmp_path / "no" / "driftd.db"))


def test_a_directory_in_its_place(tmp_path):
    assert "is a directory" in refused(url(tmp_path))


def test_a_file_that_is_no_database(tmp_path):
    (tmp_path / "x").write_bytes(b"driftd: yes\n" * 1000)
    assert "not a database" in refused(url(tmp_path / "x"))
    assert (tmp_path / "x").read_bytes() == b"driftd: yes\n" * 1000


def test_another_programs_database_is_left_alone(tmp_path):
    with closing(sqlite3.connect(tmp_path / "x")) as other:
        other.execute("CREATE TABLE recipes (name)")
        other.commit()
    assert "another program" in refused(url(tmp_path / "x"))
    with closing(sqlite3.connect(tmp_path / "x")) as other:
        assert other.execute("SELECT name FROM sqlite_master").fetchall() == [("recipes",)]


@pytest.mark.parametrize("options", [{}, {"read_only": True}])
def test_a_store_of_a_newer_driftd_is_not_touched(path, options):
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("UPDATE alembic_version SET version_num = '9999'")
        raw.commit()
    assert "newer driftd (its schema is '9999')" in refused(url(path), **options)


@pytest.mark.parametrize(
    "address", ["", "postgresql://u:secret@h/d", "sqlite://", "sqlite:///:memory:", "sqlite:///x?mode=ro"]
)
def test_an_address_that_is_none_is_bad_input(address):
    with pytest.raises(BadInput) as caught:
        open_store(address)
    assert "sqlite:///" in caught.value.hint
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("name", ["a b", "é", "a#b", "100%", "%20", "a&mode=ro", "'", "-"])
def test_a_path_may_hold_anything(tmp_path, name):
    where = tmp_path / name / f"{name}.db"
    where.parent.mkdir()
    store = open_store(url(str(where).replace("%", "%25")))
    with store.write() as tx:
        tx.put_instance(instance())
    store.close()
    assert [file.name for file in where.parent.iterdir()] == [where.name]


def test_only_its_owner_may_read_it(path):
    store = open_store(url(path))
    with store.write() as tx:
        tx.put_instance(instance("i-9"))
    for file in path.parent.iterdir():
        assert file.stat().st_mode & 0o077 == 0, file
    store.close()


# --- damage ----------------------------------------------------------------------------------------------------------


def test_a_file_cut_short(path):
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2 + 100])

    def read_all():
        store = open_store(url(path))
        try:
            with store.read() as tx:
                tx.instances()
                tx.journal_lines()
                tx.replacements()
                tx.unsent()
        finally:
            store.close()

    with pytest.raises(StoreUnavailable, match="damaged"):
        read_all()


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_bytes_overwritten_anywhere_are_one_sentence_or_a_broken_chain_or_harmless(tmp_path_factory, data):
    where = tmp_path_factory.mktemp("damage") / "driftd.db"
    store = open_store(url(where))
    with store.write() as tx:
        for number in range(20):
            tx.put_instance(instance(f"i-{number}"))
            tx.journal("decision", "s", {"n": number}, NOW)
    store.close()
    content = bytearray(where.read_bytes())
    at = data.draw(st.integers(0, len(content) - 1))
    junk = data.draw(st.binary(min_size=1, max_size=64))
    content[at : at + len(junk)] = junk
    where.write_bytes(content[: max(len(content), at)])
    try:
        store = open_store(url(where))
    except StoreUnavailable:
        return
    try:
        with store.read() as tx:
            tx.instances()
        store.verify_journal()
        with store.write() as tx:
            tx.put_instance(instance("new"))
            tx.journal("decision", "s", {}, NOW)
    except StoreUnavailable:
        pass
    finally:
        store.close()


def test_damage_that_sqlite_quotes_and_python_cannot_read_is_damage(path):
    """SQLite names the table whose definition is broken, with the byte that broke it."""
    open_store(url(path)).close()
    path.write_bytes(path.read_bytes().replace(b"PRIMARY KEY", b"PRIM\x80RY KEY", 1))
    with pytest.raises(StoreUnavailable, match="damaged"):
        open_store(url(path))


def test_a_store_replaced_under_a_running_daemon_is_noticed(path):
    store = open_store(url(path))
    path.rename(path.with_suffix(".old"))
    with pytest.raises(StoreUnavailable, match="deleted or replaced"), store.write() as tx:
        tx.put_instance(instance("lost"))
    path.write_bytes(b"")
    with pytest.raises(StoreUnavailable, match="deleted or replaced"), store.write():
        pass
    path.with_suffix(".old").rename(path)
    with store.write() as tx:
        tx.put_instance(instance("kept"))
    store.close()


# --- tampering -------------------------------------------------------------------------------------------------------


@settings(max_examples=100, deadline=None)
@given(
    seq=st.integers(1, 3),
    column=st.sampled_from(["at", "kind", "subject", "body", "prev", "hash"]),
    where=st.integers(0, 1 << 16),
    byte=st.integers(0, 255),
)
def test_any_byte_of_any_field_of_any_line_changed_is_found(tmp_path_factory, seq, column, where, byte):
    path = tmp_path_factory.getbasetemp() / "tampered.db"
    for left in path.parent.glob("tampered.db*"):
        left.unlink()
    store = open_store(url(path))
    with store.write() as tx:
        for number in (1, 2, 3):
            body = {"verdict": "clean", "é": ["x\x1f", number, None, True], "\udcff": {"a": "b"}}
            tx.journal("decision", f"i-{number}", body, later(number))
    assert isinstance(store.verify_journal(), Verified)
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TRIGGER journal_no_update")
        (old,) = raw.execute(f"SELECT CAST({column} AS BLOB) FROM journal WHERE seq = ?", (seq,)).fetchone()
        where %= len(old)
        new = old[:where] + bytes([byte]) + old[where + 1 :]
        raw.execute(f"UPDATE journal SET {column} = CAST(? AS TEXT) WHERE seq = ?", (new, seq))
        raw.commit()
    answer = store.verify_journal()
    if new == old:
        assert isinstance(answer, Verified)
    else:
        assert isinstance(answer, Broken)
        assert answer.seq == seq
    store.close()


def test_lines_cannot_be_changed_or_deleted_by_accident(path):
    with closing(sqlite3.connect(path)) as raw:
        for statement in ("UPDATE journal SET kind = 'human'", "DELETE FROM journal WHERE seq = 3"):
            with pytest.raises(sqlite3.IntegrityError, match="only ever added to"):
                raw.execute(statement)


def test_a_line_deleted_on_purpose_is_found(path):
    with closing(sqlite3.connect(path)) as raw:
        raw.execute("DROP TRIGGER journal_no_delete")
        raw.execute("DELETE FROM journal WHERE seq = 2")
        raw.commit()
    store = open_store(url(path))
    assert store.verify_journal() == Broken(2, "line 2 is missing: line 3 stands in its place")
    store.close()


@pytest.mark.parametrize("tampered", [False, True])
def test_a_stranger_verifies_the_chain_with_the_program_in_the_docs(tmp_path, tampered):
    document = Path(__file__).resolve().parents[2] / "docs" / "journal.md"
    program = document.read_text().partition("```python\n")[2].partition("```")[0]
    where = tmp_path / "driftd.db"
    store = open_store(url(where))
    store.take_lease("alpha", 30, NOW)
    with store.write() as tx:
        tx.journal(
            "decision", "i-1 é\udcff", {"name": b"\xff", "said": "\n\x1f\x7f\udcff\U0001f600\u2028", "at": NOW}, NOW
        )
        last = tx.journal("human", "i-2", {}, NOW)
    store.close()
    if tampered:
        with closing(sqlite3.connect(where)) as raw:
            raw.execute("DROP TRIGGER journal_no_update")
            raw.execute("UPDATE journal SET subject = 'i-3' WHERE seq = 2")
            raw.commit()
    store = open_store(url(where))
    with store.read() as tx:
        exported = head_line(Header(tx.store_facts().id)) + b"".join(map(body_line, tx.journal_lines()))
    store.close()
    (tmp_path / "export").write_bytes(exported)
    done = subprocess.run(
        [sys.executable, "-I", "-c", program, tmp_path / "export"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == (1 if tampered else 0)
    assert (done.stderr if tampered else done.stdout) == (
        "broken at line 2\n" if tampered else f"verified up to line 2 {last.hash}\n"
    )


# --- reading only ----------------------------------------------------------------------------------------------------


def test_reading_only_changes_nothing(path):
    before = path.read_bytes()
    store = open_store(url(path), read_only=True)
    with store.read() as tx:
        assert len(tx.instances()) == 3
    with pytest.raises(StoreUnavailable), store.write():
        pass
    store.close()
    assert path.read_bytes() == before


def test_reading_only_makes_no_store(tmp_path):
    assert "no store" in refused(url(tmp_path / "x"), read_only=True)
    assert not (tmp_path / "x").exists()
    (tmp_path / "x").touch()
    assert "empty" in refused(url(tmp_path / "x"), read_only=True)


AS_NOBODY = """
import os, sys
from driftd.core.memory import StoreUnavailable
from driftd.edges.store import open_store
os.setgroups([]); os.setgid(65534); os.setuid(65534)
for options in ({"read_only": True}, {}):
    try:
        store = open_store(sys.argv[1], **options)
    except StoreUnavailable as error:
        print("refused:", error)
    else:
        with store.read() as tx:
            print("read", len(tx.instances()))
        store.close()
"""


@pytest.mark.parametrize(
    ("directory", "file", "expected"),
    [
        (0o755, 0o644, ["read 3", "refused: The store {} cannot be opened: permission denied."]),
        (0o755, 0o600, ["refused: The store {} *", "refused: The store {} cannot be opened: permission denied."]),
    ],
)
def test_another_user(directory, file, expected, tmp_path_factory):
    assert pwd.getpwuid(65534)
    place = Path("/tmp") / f"driftd-store-{os.getpid()}-{file:o}"
    place.mkdir()
    try:
        where = place / "driftd.db"
        store = open_store(url(where))
        with store.write() as tx:
            for number in (1, 2, 3):
                tx.put_instance(instance(f"i-{number}"))
        store.close()
        where.chmod(file)
        place.chmod(directory)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, url(where)], capture_output=True, text=True, check=False, timeout=60
        )
        lines = done.stdout.splitlines()
        assert len(lines) == 2, done.stderr
        for line, said in zip(lines, expected, strict=True):
            wanted = said.format(where)
            assert line.startswith(wanted[:-1]) if wanted.endswith("*") else line == wanted
    finally:
        for left in place.iterdir():
            left.unlink()
        place.rmdir()
