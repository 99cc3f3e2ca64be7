"""Expectations: what each lets differ, and the sentence's end when more does."""

import pytest
from trees import account, baked, device, directory, file, fingerprint, link

from driftd.core import drift
from driftd.core.expect import TEMPLATES, Expect, rotations, unmet


def difference(was, now):
    (found,) = drift.compare(
        baked([directory(b"/etc"), directory(b"/var"), *([was] if was else [])]),
        fingerprint([directory(b"/etc"), directory(b"/var"), *([now] if now else [])]),
    )
    return found


CAPABLE = [(b"security.capability", b"\x01")]
LISTED = [(b"system.posix_acl_access", b"\x02")]
TO_COME = [(b"system.posix_acl_default", b"\x02")]
E, V = b"/etc/x", b"/var/x"
CASES = {
    # (expect, was, now): why not
    "firstboot-added": (Expect.FIRSTBOOT, None, file(E, b"a"), ""),
    "firstboot-set-from-empty": (Expect.FIRSTBOOT, file(E), file(E, b"a"), ""),
    "firstboot-directory": (Expect.FIRSTBOOT, None, directory(E, 0o700), ""),
    "firstboot-removed": (Expect.FIRSTBOOT, file(E), None, "it is gone"),
    "firstboot-mode": (Expect.FIRSTBOOT, file(E), file(E, b"a", 0o600), "its mode changed"),
    "firstboot-owner": (Expect.FIRSTBOOT, file(E), file(E, b"a", uid=7), "its uid changed"),
    "firstboot-executable": (Expect.FIRSTBOOT, None, file(E, b"a", 0o755), "it is executable"),
    "firstboot-setuid": (Expect.FIRSTBOOT, None, file(E, b"a", 0o4644), "it runs as its owner or group"),
    "firstboot-world": (Expect.FIRSTBOOT, None, file(E, b"a", 0o666), "its group or everybody may write it"),
    "firstboot-stranger": (Expect.FIRSTBOOT, None, file(E, b"a", uid=7), "it does not belong to root"),
    "firstboot-stranger-elsewhere": (Expect.FIRSTBOOT, None, file(V, b"a", uid=7), ""),
    "firstboot-capable": (Expect.FIRSTBOOT, None, file(E, b"a", xattrs=CAPABLE), "it has file capabilities"),
    "firstboot-listed": (Expect.FIRSTBOOT, None, file(E, b"a", xattrs=LISTED), "it has an access list"),
    "firstboot-link": (Expect.FIRSTBOOT, None, link(E, b"/tmp/x"), "it is a link, not a file"),
    "firstboot-became-link": (Expect.FIRSTBOOT, file(E), link(E, b"/tmp/x"), "it is a link, not a file"),
    "firstboot-open-directory": (Expect.FIRSTBOOT, None, directory(E, 0o777), "everybody may write it"),
    "firstboot-sticky-directory": (Expect.FIRSTBOOT, None, directory(E, 0o1755), "special mode bits"),
    "growing-grew": (Expect.GROWING, file(V, b"a"), file(V, b"ab"), ""),
    "growing-new": (Expect.GROWING, None, file(V, b"ab", 0o660, uid=9), ""),
    "growing-shrank": (Expect.GROWING, file(V, b"ab"), file(V, b"a"), "it shrank from 2 to 1 bytes"),
    "growing-mode": (Expect.GROWING, file(V, b"a"), file(V, b"ab", 0o666), "its mode changed"),
    "growing-gone": (Expect.GROWING, file(V, b"a"), None, "it is gone"),
    "growing-new-world": (Expect.GROWING, None, file(V, b"a", 0o666), "everybody may write it"),
    "growing-new-executable": (Expect.GROWING, None, file(V, b"a", 0o700), "it is executable"),
    "growing-link": (Expect.GROWING, None, link(V, b"/x"), "it is a link, not a file"),
    "ephemeral-new": (Expect.EPHEMERAL, None, file(V, b"a", 0o666, uid=9), ""),
    "ephemeral-gone": (Expect.EPHEMERAL, file(V, b"a", 0o755), None, ""),
    "ephemeral-changed": (Expect.EPHEMERAL, file(V, b"a"), file(V, b"", 0o600), ""),
    "ephemeral-directory": (Expect.EPHEMERAL, None, directory(V, 0o1777), ""),
    "ephemeral-link": (Expect.EPHEMERAL, None, link(V, b"x"), ""),
    "ephemeral-executable": (Expect.EPHEMERAL, None, file(V, b"a", 0o700), "it is executable"),
    "ephemeral-made-executable": (Expect.EPHEMERAL, file(V, b"a"), file(V, b"a", 0o744), "it is executable"),
    "ephemeral-setgid": (Expect.EPHEMERAL, None, file(V, b"a", 0o2644), "setuid or setgid"),
    "ephemeral-device": (Expect.EPHEMERAL, None, device(V), "it is a device node"),
    "ephemeral-opened": (Expect.EPHEMERAL, directory(V), directory(V, 0o777), "everybody may write it"),
    "ephemeral-listed": (Expect.EPHEMERAL, directory(V), directory(V, xattrs=LISTED), "it has an access list"),
    "ephemeral-listed-to-come": (Expect.EPHEMERAL, directory(V), directory(V, xattrs=TO_COME), "it has an access list"),
    "ephemeral-group": (Expect.EPHEMERAL, directory(V), directory(V, 0o775), "its group may write it"),
    "ephemeral-shut": (Expect.EPHEMERAL, directory(V, 0o775), directory(V, 0o770), ""),
    "ephemeral-given-away": (Expect.EPHEMERAL, directory(V), directory(V)._replace(uid=33), "belongs to others"),
    "ephemeral-led-away": (Expect.EPHEMERAL, directory(V), link(V, b"/tmp"), "it was no link"),
    "ephemeral-led-elsewhere": (Expect.EPHEMERAL, link(V, b"/a"), link(V, b"/b"), ""),
    "ephemeral-program": (Expect.EPHEMERAL, file(V, b"a", 0o755), file(V, b"b", 0o755), "it is executable"),
    "firstboot-immutable": (Expect.FIRSTBOOT, None, file(E, b"a")._replace(flags=1), "it is immutable"),
    "firstboot-fixed-directory": (Expect.FIRSTBOOT, None, directory(E)._replace(flags=2), "it is append-only"),
    "firstboot-made-immutable": (Expect.FIRSTBOOT, file(E), file(E, b"a")._replace(flags=1), "its flags changed"),
    "growing-not-append-only": (Expect.GROWING, file(V)._replace(flags=2), file(V, b"a"), "its flags changed"),
    "growing-frozen": (Expect.GROWING, None, file(V, b"a")._replace(flags=3), "it is immutable,append-only"),
    "ephemeral-frozen": (Expect.EPHEMERAL, file(V, b"a"), file(V, b"a")._replace(flags=1), "it is immutable"),
    "ephemeral-too-deep": (Expect.EPHEMERAL, None, directory(b"/var/" + b"d" * 33000), "too long to look into it"),
    "ephemeral-unit": (Expect.EPHEMERAL, None, file(b"/var/evil.service"), "named like a unit"),
    "ephemeral-unit-link": (Expect.EPHEMERAL, None, link(b"/var/a.timer", b"b"), "named like a unit"),
    "ephemeral-unit-directory": (Expect.EPHEMERAL, None, directory(b"/var/a.service"), ""),
}


@pytest.mark.parametrize("case", CASES)
def test_case(case):
    expect, was, now, why = CASES[case]
    found = unmet(expect, difference(was, now))
    assert (why in found) if why else found == ""


KEY = b"k" * 400
TEMPLATE_CASES = {
    "machine-id": ("hex32", file(E, b"", 0o444), file(E, b"0" * 33, 0o444), ""),
    "machine-id-other": ("hex32", file(E, b"1" * 33, 0o444), file(E, b"0" * 33, 0o444), ""),
    "machine-id-long": ("hex32", file(E, b"", 0o444), file(E, b"0" * 34, 0o444), "34 bytes are not 32 hexadecimal"),
    "machine-id-writable": ("hex32", file(E, b"", 0o444), file(E, b"0" * 33, 0o666), "its mode changed"),
    "private-key": ("ssh-private-key", None, file(E, KEY, 0o600), ""),
    "private-key-readable": ("ssh-private-key", None, file(E, KEY, 0o644), "mode 0644 is not one"),
    "private-key-gone": ("ssh-private-key", file(E, KEY, 0o600), None, "it is gone"),
    "public-key-empty": ("ssh-public-key", None, file(E, b""), "0 bytes are not one public key"),
    "resolver-link": ("resolv-conf", file(E), link(E, b"/run/x"), "it is a link"),
}


@pytest.mark.parametrize("case", TEMPLATE_CASES)
def test_template(case):
    template, was, now, why = TEMPLATE_CASES[case]
    found = unmet(Expect.TEMPLATE, difference(was, now), template)
    assert (why in found) if why else found == ""


@pytest.mark.parametrize("name", TEMPLATES)
def test_no_template_allows_what_others_may_write_or_run(name):
    template = TEMPLATES[name]
    assert template.least <= template.most
    assert all(int(mode, 8) & 0o7133 == 0 for mode in template.modes)


@pytest.mark.parametrize("expect", Expect)
def test_an_account_is_never_expected(expect):
    (found,) = drift.compare(baked(), fingerprint(facts=(account("eve"),)))
    assert unmet(expect, found, "hex32") == "only a path can be expected to differ"


def test_a_log_that_was_rotated_may_be_shorter_than_baked():
    log, kept, cut = b"/var/log/auth.log", b"x" * 50, b"y"
    was = baked([file(log, b"x" * 40), file(b"/var/log/wtmp", b"x" * 40)])

    def unmets(*now):
        found = drift.compare(was, fingerprint([file(b"/var/log/wtmp", b"x" * 40), *now]))
        there = rotations(found)
        return [unmet(Expect.GROWING, one, rotated=there) for one in found if one.subject == log]

    assert unmets(file(log, cut)) == ["it shrank from 40 to 1 bytes"]
    assert unmets(file(log, cut), file(log + b".1", kept)) == [""]
    assert unmets(file(log, cut), file(log + b"-20250131", kept)) == [""]
    assert unmets(file(log, cut), file(log + b".1", cut)) == ["it shrank from 40 to 1 bytes"]
    assert unmets(file(log, cut), link(log + b".1", b"/dev/null")) == ["it shrank from 40 to 1 bytes"]
    assert unmets(file(log, cut), file(b"/var/log/wtmp.1", kept)) == ["it shrank from 40 to 1 bytes"]


def test_a_hard_link_of_what_was_baked_is_no_change_of_content():
    linked = [file(one, b"a")._replace(same=b"/etc/x") for one in (b"/etc/x", b"/var/x")]
    found = drift.compare(baked([file(b"/etc/x", b"a"), directory(b"/var")]), fingerprint(linked))
    said = {one.subject: unmet(Expect.FIRSTBOOT, one) for one in found}
    assert said == {b"/etc/x": "its hard links changed", b"/var/x": ""}
