"""systemd's unit files, held against systemctl itself, which reads a root of its own without a running systemd."""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

import pytest
from configured import facts_of, kept, put
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

ETC, RUN, USR = "etc/systemd/system", "run/systemd/system", "usr/lib/systemd/system"
SERVICE = "[Service]\nExecStart=/bin/true\n"
INSTALL = SERVICE + "[Install]\nWantedBy=multi-user.target\n"


def unit(tree: Path, name: str) -> dict[str, str]:
    (fields,) = (fields for one, fields in facts_of(tree, "unit") if one == name)
    return fields


def states(tree: Path) -> dict[str, str]:
    return {name: fields["state"] for name, fields in facts_of(tree, "unit")}


def listed(tree: Path) -> dict[str, str]:
    """The states of unit files, as systemctl says them."""
    run = subprocess.run(
        ["systemctl", f"--root={tree}", "list-unit-files", "--no-legend", "--no-pager"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
    )
    return {words[0]: words[1] for words in map(str.split, run.stdout.splitlines())}


def test_each_state_of_a_unit(tree: Path) -> None:
    put(tree, f"{USR}/on.service", INSTALL)
    put(tree, f"{ETC}/multi-user.target.wants/on.service", link="/usr/lib/systemd/system/on.service")
    put(tree, f"{USR}/off.service", INSTALL)
    put(tree, f"{USR}/fixed.service", SERVICE)
    put(tree, f"{USR}/reset.service", INSTALL + "WantedBy=\n")
    put(tree, f"{USR}/also.service", SERVICE + "[Install]\nAlso=on.service\n")
    put(tree, f"{USR}/gone.service", SERVICE)
    put(tree, f"{ETC}/gone.service", link="/dev/null")
    put(tree, f"{RUN}/shortly.service", link="/dev/null")
    put(tree, f"{USR}/empty.service")
    put(tree, f"{ETC}/other.service", link="../../../usr/lib/systemd/system/on.service")
    put(tree, "opt/app.service", INSTALL)
    put(tree, f"{ETC}/app.service", link="/opt/app.service")
    put(tree, "run/systemd/generator/mnt.mount", "[Mount]\n")
    put(tree, "run/systemd/transient/run-1.service", SERVICE)
    put(tree, f"{USR}/t@.service", INSTALL)
    put(tree, f"{ETC}/multi-user.target.wants/t@x.service", link="/usr/lib/systemd/system/t@.service")
    put(tree, f"{ETC}/dangling.service", link="/nowhere/dangling.service")
    put(tree, f"{ETC}/multi-user.target.requires/nobody.service", link="/nowhere/nobody.service")
    put(tree, f"{RUN}/multi-user.target.wants/fixed.service", link="/usr/lib/systemd/system/fixed.service")
    expected = {
        "on.service": "enabled", "off.service": "disabled", "fixed.service": "enabled-runtime",
        "also.service": "indirect", "gone.service": "masked", "shortly.service": "masked-runtime",
        "empty.service": "masked", "other.service": "alias", "app.service": "linked", "mnt.mount": "generated",
        "run-1.service": "transient", "t@.service": "indirect", "dangling.service": "bad",
        "reset.service": "static",
    }  # fmt: skip
    assert listed(tree) == expected
    assert states(tree) == {**expected, "t@x.service": "enabled", "nobody.service": "not-found"}
    assert unit(tree, "on.service") == {
        "fragment": "/usr/lib/systemd/system/on.service", "state": "enabled", "wanted_by": "multi-user.target",
    }  # fmt: skip
    assert unit(tree, "other.service")["fragment"] == "/usr/lib/systemd/system/on.service"
    assert unit(tree, "app.service")["fragment"] == "/opt/app.service"
    assert unit(tree, "nobody.service")["wanted_by"] == "multi-user.target (requires)"
    assert kept(tree, "unit") == []


def test_a_mask_in_run_is_no_file_that_could_not_be_read(tree: Path) -> None:
    (tree / "dev").mkdir(exist_ok=True)
    os.mkfifo(tree / "dev/null")  # whatever it is, it is no regular file
    put(tree, f"{RUN}/shortly.service", link="/dev/null")
    assert unit(tree, "shortly.service")["state"] == "masked-runtime"
    assert kept(tree, "unit") == []


def test_what_lies_in_run_is_told_by_digest(tree: Path) -> None:
    put(tree, "run/systemd/transient/x.service", SERVICE)
    put(tree, "run/systemd/transient/session-1.scope", "[Scope]\n")
    put(tree, f"{USR}/y.service", SERVICE)
    put(tree, "run/systemd/generator/y.service.d/z.conf", SERVICE)
    before = dict(facts_of(tree, "unit"))
    assert set(before) == {"x.service", "y.service"}
    put(tree, "run/systemd/transient/x.service", SERVICE + "User=root\n")
    put(tree, "run/systemd/generator/y.service.d/z.conf", SERVICE + "User=root\n")
    after = dict(facts_of(tree, "unit"))
    assert all(before[name]["digest"] != after[name]["digest"] for name in before)


def test_drop_ins_that_count(tree: Path) -> None:
    put(tree, f"{USR}/a-b@.service", SERVICE)
    put(tree, f"{ETC}/x.wants/a-b@1.service", link="/usr/lib/systemd/system/a-b@.service")
    put(tree, f"{ETC}/alias@1.service", link="/usr/lib/systemd/system/a-b@.service")
    for path in (
        f"{ETC}/a-b@1.service.d/30.conf", f"{USR}/a-b@.service.d/20.conf", f"{USR}/a-.service.d/10.conf",
        f"{USR}/service.d/40.conf", f"{USR}/a-b@1.service.d/30.conf", f"{RUN}/service.d/30.conf",
        f"{ETC}/a-b@1.service.d/note.txt", f"{USR}/a-b@1.service.d/05.conf",
    ):  # fmt: skip
        put(tree, path, "[Service]\n")
    put(tree, f"{ETC}/a-b@1.service.d/05.conf", link="/dev/null")
    assert unit(tree, "a-b@1.service")["dropins"].split(",") == [
        f"/{USR}/a-.service.d/10.conf",
        f"/{USR}/a-b@.service.d/20.conf",
        f"/{ETC}/a-b@1.service.d/30.conf",
        f"/{USR}/service.d/40.conf",
    ]
    put(tree, f"{ETC}/b.service", SERVICE)
    put(tree, f"{ETC}/b.service.d/install.conf", "[Install]\nWantedBy=x.target\n")
    assert unit(tree, "b.service")["state"] == "disabled"


def test_when_a_timer_runs(tree: Path) -> None:
    text = "# x\n[Unit]\nOnCalendar=no\n[Timer]\n OnCalendar = Mon  *-*-* \\\n; between\n 1:00\n"
    text += "Persistent=true\nUnit=b.service\n"
    put(tree, f"{USR}/a.timer", text)
    before = "OnCalendar=Mon *-*-* 1:00; Persistent=true; Unit=b.service"
    assert unit(tree, "a.timer")["schedule"] == before
    put(tree, f"{USR}/a.timer", text.replace("# x\n", "").replace("  ", " ").replace("\\\n; between\n", "\t"))
    assert unit(tree, "a.timer")["schedule"] == before
    put(tree, f"{ETC}/a.timer.d/x.conf", "[Timer]\nOnBootSec=5\n")
    assert unit(tree, "a.timer")["schedule"] == before.replace("; P", "; OnBootSec=5; P")
    put(tree, f"{ETC}/a.timer.d/x.conf", "[Timer]\nOnBootSec=\nOnUnitActiveSec=1h\nPersistent=\n")
    assert unit(tree, "a.timer")["schedule"] == "OnUnitActiveSec=1h; Unit=b.service"
    put(tree, f"{USR}/b.service", text)
    assert "schedule" not in unit(tree, "b.service")


def test_units_of_users(tree: Path) -> None:
    put(tree, "etc/passwd", "bob:x:1000:1000::/home/bob:/bin/sh\n")
    put(tree, "usr/lib/systemd/user/all.service", INSTALL)
    put(tree, "etc/systemd/user/default.target.wants/all.service", link="/usr/lib/systemd/user/all.service")
    put(tree, "home/bob/.config/systemd/user/own.service", INSTALL)
    put(tree, "home/bob/.config/systemd/user/default.target.wants/own.service", link="../own.service")
    put(tree, "home/bob/.config/systemd/user/all.service.d/x.conf", SERVICE)
    put(
        tree, "home/bob/.config/systemd/user/default.target.wants/all.service", link="/usr/lib/systemd/user/all.service"
    )
    put(tree, "home/bob/.local/share/systemd/user/shared.service", SERVICE)
    put(tree, "run/user/1000/systemd/transient/now.service", SERVICE)
    put(tree, "var/lib/systemd/linger/bob")
    assert states(tree) == {
        "linger bob": "enabled", "user/all.service": "enabled", "~bob/own.service": "enabled",
        "~bob/all.service": "enabled", "~bob/shared.service": "static", "~bob/now.service": "transient",
    }  # fmt: skip
    assert unit(tree, "~bob/all.service")["dropins"] == "/home/bob/.config/systemd/user/all.service.d/x.conf"


def test_lib_and_usr_lib_may_be_one(tree: Path) -> None:
    put(tree, f"{USR}/a.service", SERVICE)
    put(tree, "lib", link="usr/lib")
    assert facts_of(tree, "unit") == [("a.service", {"fragment": f"/{USR}/a.service", "state": "static"})]
    (tree / "lib").unlink()
    put(tree, "lib/systemd/system/b.service", SERVICE)
    assert set(states(tree)) == {"a.service", "b.service"}


@pytest.mark.parametrize("name", [".hidden.service", "x.txt", "a b.service", "a.service~", ".service"])
def test_names_of_no_unit(tree: Path, name: str) -> None:
    put(tree, f"{ETC}/{name}", SERVICE)
    assert facts_of(tree, "unit") == []


names = st.sampled_from(["a.service", "b.service", "t@.service", "t@x.service", "t@y.service", "a.timer"])
places = st.sampled_from([ETC, RUN, USR, "run/systemd/generator", "usr/local/lib/systemd/system", "opt"])
texts = st.sampled_from(
    [
        "", SERVICE, INSTALL, SERVICE + "[Install]\nAlias=b.service\n", SERVICE + "[Install]\nAlso=a.timer\n",
        INSTALL + "DefaultInstance=x\n", SERVICE + "[Install]\nWantedBy=x.target\nWantedBy=\n",
        SERVICE + "[Install]\nRequiredBy=\\\n # c\n y.target\n", "[Install]\n; WantedBy=x\n",
    ]
)  # fmt: skip
steps = st.one_of(
    st.tuples(st.just("file"), places, names, texts),
    st.tuples(st.just("link"), places, names, st.tuples(places, names).map("/".join)),
    st.tuples(st.just("mask"), places, names, st.just("dev/null")),
    st.tuples(st.just("wants"), places, names, st.tuples(places, names).map("/".join)),
    st.tuples(st.just("dropin"), places, names, texts),
)


# The same examples every time: corners of corners differ between versions of systemd. Thousands were tried with 252.
@settings(max_examples=80, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, min_size=1, max_size=7))
def test_states_are_those_of_systemctl(made: list[tuple[str, str, str, str]]) -> None:
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        put(tree, f"{USR}/base.service", SERVICE)  # systemctl fails where there is no unit at all
        for how, place, unit_name, what in made:
            path = f"{place}/{unit_name}"
            path = f"{place}/multi-user.target.wants/{unit_name}" if how == "wants" else path
            path = f"{path}.d/x.conf" if how == "dropin" else path
            if (tree / path).is_symlink() or (tree / path).exists():
                continue
            if how in ("file", "dropin"):
                put(tree, path, what)
            else:
                put(tree, path, link="/" + what)
        theirs = listed(tree)
        ours = states(tree)
        for state in theirs.values():
            event(state)
        assert {one: ours.get(one) for one in theirs} == theirs
