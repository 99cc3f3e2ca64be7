"""What runs by the clock: cron, anacron, at."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest
from configured import facts_of, kept, names_of, put
from hypothesis import assume, given, settings
from hypothesis import strategies as st

CRONTAB = """\
# DO NOT EDIT
SHELL=/bin/sh
PATH = "/usr/local/bin:/bin"

17 *	* * *	root	cd / && run-parts --report /etc/cron.hourly
MAILTO='bob'
*/5\t0-23/2 1,15 JAN,feb Mon-Fri  bob  echo "a  b" % in
@Daily root backup
-@reboot root quiet
nonsense
* * * * * root
61 * * *
"""


def test_a_systems_table(tree: Path) -> None:
    put(tree, "etc/crontab", CRONTAB)
    early = {"file": "/etc/crontab", "user": "root", "environment": "PATH=/usr/local/bin:/bin; SHELL=/bin/sh"}
    late = {**early, "environment": "MAILTO=bob; PATH=/usr/local/bin:/bin; SHELL=/bin/sh"}
    assert facts_of(tree, "cron") == [
        ('*/5 0-23/2 1,15 jan,feb mon-fri bob echo "a  b" % in', {**late, "user": "bob"}),
        ("17 * * * * root cd / && run-parts --report /etc/cron.hourly", early),
        ("@daily root backup", late),
        ("@reboot root quiet", late),
    ]
    assert kept(tree, "cron") == [("not available", "3 lines of /etc/crontab are no jobs")]


def test_tables_of_users_packages_and_scripts(tree: Path) -> None:
    put(tree, "etc/cron.d/a", "* * * * * web x\n")
    put(tree, "etc/cron.d/.placeholder", "* * * * * web hidden\n")
    for number, spool in enumerate(["crontabs/bob", "tabs/bob", "bob"]):
        put(tree, f"var/spool/cron/{spool}", f"{number} * * * * run  it\n")
    put(tree, "etc/cron.daily/script", "#!/bin/sh\n")
    put(tree, "etc/cron.daily/.placeholder")
    put(tree, "etc/periodic/15min/often")
    put(
        tree,
        "etc/anacrontab",
        "RANDOM_DELAY=45\n1\t5 cron.daily  nice run-parts /etc/cron.daily\n@monthly 45 m x\n7 y\n",
    )
    assert [(name, fields["file"], fields["user"]) for name, fields in facts_of(tree, "cron")] == [
        ("* * * * * web x", "/etc/cron.d/a", "web"),
        ("/etc/cron.daily/script", "/etc/cron.daily/script", "root"),
        ("/etc/periodic/15min/often", "/etc/periodic/15min/often", "root"),
        ("0 * * * * bob run  it", "/var/spool/cron/crontabs/bob", "bob"),
        ("1 * * * * bob run  it", "/var/spool/cron/tabs/bob", "bob"),
        ("2 * * * * bob run  it", "/var/spool/cron/bob", "bob"),
        ("anacron 1 5 cron.daily nice run-parts /etc/cron.daily", "/etc/anacrontab", "root"),
        ("anacron @monthly 45 m x", "/etc/anacrontab", "root"),
    ]
    assert kept(tree, "cron") == [("not available", "1 lines of /etc/anacrontab are no jobs")]


def test_a_spool_with_two_names_is_read_once(tree: Path) -> None:
    put(tree, "etc/crontabs/root", "* * * * * x\n")
    put(tree, "var/spool/cron/crontabs", link="/etc/crontabs")
    assert names_of(tree, "cron") == ["* * * * * root x"]


def test_a_long_environment_is_told_by_its_digest(tree: Path) -> None:
    def told(value: str) -> str:
        put(tree, "etc/crontab", f"A={'x' * 2000}{value}\n" + "* * * * * root x\n" * 2)
        one, two = (fields["environment"] for _, fields in facts_of(tree, "cron"))
        assert one == two
        return one

    assert len(told("1")) < 100
    assert told("1") == told("1") != told("2")
    put(tree, "etc/crontab", "".join(f"V{n}=\n" for n in range(500)) + "* * * * * root x\n")
    before = facts_of(tree, "cron")
    put(tree, "etc/crontab", "".join(f"V{n}=\n" for n in range(499)) + "V499=x\n* * * * * root x\n")
    assert facts_of(tree, "cron") != before


def test_jobs_of_at(tree: Path) -> None:
    put(tree, "etc/passwd", "bob:x:1000:1000::/home/bob:/bin/sh\n")
    put(tree, "var/spool/cron/atjobs/a00001019a8b2c", "#!/bin/sh\n# atrun uid=1000 gid=1000\n# mail bob 0\nSECRET=1\n")
    put(tree, "var/spool/at/=00002019a8b2c", "#!/bin/sh\n# atrun uid=77 gid=0\n")
    put(tree, "var/spool/at/odd", "x")
    put(tree, "var/spool/at/.SEQ", "2")
    (tree / "var/spool/at/spool").mkdir()
    found = facts_of(tree, "at")
    assert [(name, fields.get("user"), fields.get("when")) for name, fields in found] == [
        ("=00002019a8b2c", "77", "2021-02-26T07:08Z"),
        ("a00001019a8b2c", "bob", "2021-02-26T07:08Z"),
        ("odd", None, None),
    ]
    assert len({fields["digest"] for _, fields in found}) == 3


field = st.sampled_from(["*", "0", "*/5", "1-5", "1,2", "jan", "SUN", "10-20/2"])
command = st.sampled_from(["true", "a  b", "x=1 y # z", 'echo "%" \\', "run"])
remark = st.sampled_from(["", "# x", "  # y\n", "\t", "#* * * * * root evil"])


@settings(max_examples=80, deadline=None)
@given(
    times=st.lists(field, min_size=5, max_size=5),
    job=command,
    where=st.sampled_from([("etc/crontab", True), ("etc/cron.d/x", True), ("var/spool/cron/crontabs/bob", False)]),
    data=st.data(),
)
def test_blanks_and_comments_change_no_job_and_all_else_does(
    times: list[str], job: str, where: tuple[str, bool], data: st.DataObject
) -> None:
    path, with_user = where
    gap = st.text(" \t", min_size=1, max_size=3)
    words = [*times, *(["bob"] if with_user else [])]

    def seen(words: list[str], job: str, above: str = "", between: str = " ") -> list[tuple[str, dict[str, str]]]:
        with tempfile.TemporaryDirectory() as name:
            put(Path(name), path, above + between.join([*words, job]) + "\n")
            return facts_of(Path(name), "cron")

    plain = seen(words, job)
    assert len(plain) == 1
    assert seen(words, job, data.draw(remark) + "\n" + data.draw(st.just("") | gap), data.draw(gap)) == plain
    assert seen([word.upper() if word != "bob" else word for word in words], job) == plain
    at = data.draw(st.integers(0, len(words) - 1))
    other = data.draw(field)
    assume(other.lower() != words[at].lower())
    assert seen([*words[:at], other, *words[at + 1 :]], job) != plain
    assert seen(words, job + " more") != plain
    assert seen(words, job, above="PATH=/tmp\n") != plain


def test_what_is_no_file_is_said_and_not_opened(tree: Path) -> None:
    (tree / "etc/cron.d").mkdir(parents=True)
    os.mkfifo(tree / "etc/crontab")
    assert kept(tree, "cron") == [("not available", "/etc/crontab cannot be read (not a regular file)")]
    for number in range(300):
        os.mkfifo(tree / f"etc/cron.d/{number}")
    said = kept(tree, "cron")
    assert len(said) == 101
    assert ("cut short", "more than the first 100 of such sentences are left out") in said


@pytest.mark.parametrize("text", ["@", "@daily", "* * * *", "*" * 100_000, "=" * 1000, "A" * 100_000 + "=1", "\0\xff"])
def test_odd_tables_are_no_jobs(tree: Path, text: str) -> None:
    put(tree, "etc/crontab", text.encode("latin-1"))
    assert facts_of(tree, "cron") == []
