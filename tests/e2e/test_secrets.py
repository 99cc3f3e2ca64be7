"""Secrets that lie on a server stay there: none is on the wire, in the store, a log, a sidecar, a report.

They are planted in files whose contents may be shown and in others, before a bake and again, as others, after it. What
SSH carried is taken where it comes out of the connection, as it is and inflated. That the recording works is shown by
words that are no secrets and must be there.
"""

import base64
import json
import re
from pathlib import Path

import pytest

from driftd.core.talk import Talk
from driftd.edges.stage.clients import person
from driftd.probe import wire

pytestmark = [pytest.mark.servers, pytest.mark.timeout(170)]

SHOW = """
show:
  - {path: /etc/app/*.yaml, format: yaml}
  - {path: /etc/app/*.json, format: json}
  - {path: /etc/app/*.toml, format: toml}
  - {path: /etc/app/*.ini, format: ini, secrets: [door_*]}
  - {path: /etc/app/*.env, format: keyvalue}
  - {path: /etc/app/*.conf}
rules:
"""
# Paths and their texts; {…} is a secret by that name, and CONTROL a word that may be seen.
PLANTED = {
    "/etc/ssh/sshd_config.d/zz.conf": "# root's password: {sshd-comment}\nBanner /etc/CONTROL\n",
    "/etc/systemd/system/app.service": "[Unit]\nDescription=CONTROL of the application\n[Service]\n"
    'Environment="LANG=C" "DB_PASSWORD={unit-environment}"\nExecStart=/bin/app --token {unit-argument}\n',
    "/etc/cron.d/app": "PGPASSWORD={cron-variable}\n1 2 * * * root CONTROL --api-key={cron-argument}\n"
    "3 4 * * * root curl https://me:{cron-url}@example.org/\n",
    "/etc/app/a.yaml": "CONTROL:\n  db:\n    users:\n    - name: bob\n      password: {yaml-nested}\n"
    "  tokens:\n  - {yaml-list}\n  env:\n  - name: API_KEY\n    value: {yaml-pair}\n  url: redis://:{yaml-url}@h/0\n",
    "/etc/app/a.json": '{{"CONTROL": [1, {{"secrets": ["{json-array}", {{"x": "{json-deep}"}}]}}, '
    '"--auth", "{json-argument}"]}}',
    "/etc/app/a.toml": 'CONTROL = 1\n[credentials]\nuser = "{toml-section}"\n[b]\n'
    'passphrase = """\n{toml-lines}\n"""\n',
    "/etc/app/a.ini": "[a]\nCONTROL = 1\ndoor_code = {ini-named}\npasswd = x\n  {ini-folded}\n; secret {ini-comment}\n",
    "/etc/app/a.env": "CONTROL=1\nexport SESSION_SECRET='{env-exported}'\n",
    "/etc/app/a.conf": "CONTROL 1\nrequirepass {text-field}\n"
    "-----BEGIN PRIVATE KEY-----\n{text-pem}\n-----END PRIVATE KEY-----\n",
    "/etc/app/broken.json": '{{"a": "{json-unreadable}"',
    # Nobody lists these.
    "/opt/web/settings.py": "CONFIG = '{hidden-file}'\n",
    "/root/.netrc": "machine x login me password {hidden-netrc}\n",
}
FORMED = {
    "aws": ("AKIAQWERTYUIOPASDF{n}Z", "/etc/app/aws.conf", "seen {s} here CONTROL\n"),
    "jwt": ("eyJhbGciOiJIUzI1NiJ{n}.eyJzdWIiOiIxIn0.c2lnbmF0dXJl{n}", "/etc/app/jwt.conf", "CONTROL = {s}\n"),
    "hex": ("deadbeefcafe{n}{n}{n}{n}deadbeefcafe{n}{n}{n}{n}", "/etc/app/hex.yaml", "CONTROL: {s}\n"),
}


def secrets(number: int) -> dict[str, str]:
    """The secrets of one generation: nothing about them looks like one."""
    names = [part.split("}")[0] for text in PLANTED.values() for part in text.replace("{{", "").split("{")[1:]]
    return {name: f"zq{name.replace('-', '')}xj{number}" for name in names}


def script(number: int, control: str) -> str:
    lines = ["set -e; mkdir -p /etc/app"]
    for path, text in PLANTED.items():
        put = base64.b64encode(text.format(**secrets(number)).replace("CONTROL", control).encode()).decode()
        lines.append(f"echo {put} | base64 -d >{path}")
    for secret, path, text in FORMED.values():
        put = text.format(s=secret.format(n=number)).replace("CONTROL", control)
        lines.append(f"echo {base64.b64encode(put.encode()).decode()} | base64 -d >{path}")
    lines.append(f"echo 'root:zqshadowxj{number}' | chpasswd")
    lines.append(f"sed -i 's/^root:x:0:0:[^:]*/root:x:0:0:pw zqgecosxj{number}/' /etc/passwd")
    return "; ".join(lines)


def every_form(secret: str) -> list[bytes]:
    """A secret as it is, and as base64 at any place, and as hexadecimal digits."""
    raw = secret.encode()
    coded = [base64.b64encode(b"x" * shift + raw)[4 : -4 or None] for shift in range(3)]
    return [raw, raw.hex().encode(), *(one for one in coded if len(one) >= 8)]


@pytest.fixture
def record(monkeypatch, tmp_path: Path) -> Path:
    """Where everything that comes out of a connection is written, in this process and in a daemon forked off it."""
    file = tmp_path / "wire"
    feed, frames = Talk.feed, wire.Decoder.feed

    def heard(self, data):
        with file.open("ab") as stream:
            stream.write(data)
        return feed(self, data)

    def inflated(self, data):
        for frame in frames(self, data):
            with file.open("ab") as stream:
                stream.write(frame.payload)
            yield frame

    monkeypatch.setattr(Talk, "feed", heard)
    monkeypatch.setattr(wire.Decoder, "feed", inflated)
    return file


def test_no_secret_leaves_the_server(day_of, record: Path):
    day = day_of({}, start=False)
    home = day.fleet.stage.config.parent
    policy = home / "web.yaml"
    policy.write_text(re.sub(r"\nshow:\n.*?\nrules:\n", lambda _: SHOW, policy.read_text(), flags=re.DOTALL))
    victim = day.fleet.instances()["web/1"]
    somebody = (victim, home / "keys" / "somebody", home / "somebody.known_hosts")

    person(*somebody, script(1, "wordbefore"))
    manifest = day.house.manifests.path_for(victim.image)
    original = {file: file.read_bytes() for file in manifest.parent.iterdir()}
    outputs = [day.command("bake", "--host", "web/1", "--image", victim.image, "-o", str(manifest))]
    assert outputs[0].returncode == 0, outputs[0].stderr
    sidecar = manifest.with_name(manifest.name.replace(".manifest", ".sidecar")).read_bytes()
    baked = manifest.read_bytes()

    person(*somebody, script(2, "wordafter"))
    day.start()
    day.wait(lambda: (row := day.rows().get(victim.id)) and row.verdict == "drifted")
    day.stop()
    commands = (
        ["audit", "web/1"],
        ["audit", "web/1", "--format", "json"],
        ["findings"],
        ["findings", "--json"],
        ["status", "--json"],
        ["explain", "web/1"],
        ["explain", "web/1", "--format", "json"],
    )
    outputs += [day.command(*words) for words in commands]
    said = {"-".join(one.args): (one.stdout + one.stderr).encode() for one in outputs}
    places = {
        **said,
        "wire": record.read_bytes(),
        "sidecar": sidecar,
        "manifest": baked,
        "log": day.log.read_bytes(),
        **{file.name: file.read_bytes() for file in home.glob("driftd.db*")},
    }
    for file, data in original.items():
        file.write_bytes(data)

    planted = [one for number in (1, 2) for one in secrets(number).values()]
    planted += [secret.format(n=number) for number in (1, 2) for secret, _, _ in FORMED.values()]
    planted += [f"zq{what}xj{number}" for what in ("shadow", "gecos") for number in (1, 2)]
    found = [
        (secret, name)
        for secret in planted
        for name, data in places.items()
        if any(one in data for one in every_form(secret))
    ]
    assert not found

    # It was recorded, and it says what may be said.
    assert b"wordbefore" in sidecar
    for name in ("wire", "driftd.db", "audit-web/1---format-json", "explain-web/1", "explain-web/1---format-json"):
        data = b"".join(data for place, data in places.items() if place.startswith(name))
        assert b"wordafter" in data, name
    assert b"<withheld>" in places["wire"]
    shown = json.loads(said["explain-web/1---format-json"])
    diffs = {one["subject"]: one for one in shown["findings"] if one["kind"] == "file"}
    banner = {"path": "Banner", "before": "/etc/wordbefore", "after": "/etc/wordafter"}
    assert banner in diffs["/etc/ssh/sshd_config.d/zz.conf"]["diff"]["settings"]
    assert "could not be read as json" in diffs["/etc/app/broken.json"]["diff"]["note"]
    assert "diff" not in diffs["/opt/web/settings.py"]
    assert "no pack lists" in diffs["/opt/web/settings.py"]["not_shown_because"]
