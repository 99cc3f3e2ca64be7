"""Secrets in the texts that facts are made of stay on the instance; that they are others is still seen."""

import os
from pathlib import Path

import pytest

from driftd.core.digestkey import DigestKey
from driftd.core.facts import Instance, Reach
from driftd.core.fingerprint import Fingerprint
from driftd.edges.local import LocalLooker

KEY = DigestKey(b"k" * 32)
FILES = {
    "etc/crontab": "PGPASSWORD={0}\nLANG=C\n1 2 * * * root curl -u me:{0} https://x/\n",
    "etc/cron.d/b": "3 4 * * * root backup --token={0} /srv\n",
    "etc/anacrontab": "1 5 daily wget https://me:{0}@x/y\n",
    "etc/fstab": "//srv/x /mnt cifs user=me,password={0},uid=1 0 0\n/dev/sda1 / ext4 defaults 0 1\n",
    "etc/passwd": "root:x:0:0:root:/root:/bin/sh\nbob:x:1:1:password {0}:/home/bob:/bin/sh\n",
    "etc/pam.d/login": "auth sufficient pam_mysql.so user=me passwd={0}\npassword required pam_unix.so use_authtok\n",
    "root/.ssh/authorized_keys": 'environment="API_TOKEN={0}" ssh-ed25519 '
    "AAAAC3NzaC1lZDI1NTE5AAAAIH7v0mmyG5L6NXyXOsBtN3+OUpVzbEbXwaZ8ZrKYVJ1g me@x\n",
}


def facts(root: Path, secret: str, key: DigestKey | None = KEY) -> set:
    for name, text in FILES.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text.format(secret))
    seen = LocalLooker().look(Instance("x", "", "", reach=Reach(root=os.fspath(root))), deadline_s=60, key=key)
    assert isinstance(seen, Fingerprint), seen
    return set(seen.facts)


@pytest.mark.parametrize("key", [KEY, None])
def test_no_secret_is_told(tmp_path: Path, key):
    said = repr(facts(tmp_path, "hunter2", key))
    assert "hunter2" not in said
    for rest in (
        "LANG=C",
        "1 2 * * * root curl -u",
        "3 4 * * * root backup --token=",
        "user=me",
        "pam_unix.so use_authtok",
    ):
        assert rest in said


def test_another_secret_is_another_fact(tmp_path: Path):
    before, again, after = (facts(tmp_path, secret) for secret in ("hunter2", "hunter2", "hunter3"))
    assert before == again
    changed = {fact.kind for fact in before - after}
    assert changed == {"cron", "mount", "account", "pam", "key"}
    assert len([fact for fact in before - after if fact.kind == "cron"]) == 3
