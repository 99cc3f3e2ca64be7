"""``driftd doctor`` on deployments with faults and on one without; its instance is behind a real sshd."""

import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest
from slackd import APP, BOT, slackd
from sshd import ME, sshd

from driftd.core.checkup import Check, Mark, Point
from driftd.core.errors import Unavailable
from driftd.edges.listener import Listener
from driftd.edges.metrics import Metrics
from driftd.edges.store import here, open_store
from driftd.flows.checkup import checkup

CONFIG = """\
trust: {{manifest_keys: [release.pub]}}
ssh: {{key: "{key}", user: "{user}", known_hosts: "{known}", connect_timeout: 3s}}
metrics: {{listen: "127.0.0.1:{metrics}"}}
groups:
  web:
    provider: static
    image: img
    hosts: ["127.0.0.1:{port}"]
"""


def port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])


@pytest.fixture(scope="module")
def server():
    with tempfile.TemporaryDirectory(prefix="driftd-doctor-") as directory, sshd(Path(directory) / "sshd") as running:
        Path(directory).chmod(0o755)
        running.know()
        yield running


@pytest.fixture
def deployed(driftd, server, tmp_path: Path) -> Path:
    """Everything as it should be, but for a store and a daemon."""
    server_key = server.client_key
    (tmp_path / "driftd.yaml").write_text(
        CONFIG.format(key=server_key, user=ME, known=server.known_hosts, port=server.port, metrics=port())
    )
    (tmp_path / "tree/etc").mkdir(parents=True)
    (tmp_path / "tree/etc/motd").write_text("hello\n")
    (tmp_path / "manifests").mkdir()
    assert driftd("manifest", "keygen", "release").status == 0
    bake = ("bake", "--root", "tree", "--image", "img", "--sign-with", "release", "-o", "manifests/img.manifest")
    assert driftd(*bake).status == 0
    return tmp_path


def points(said) -> dict[tuple[str, str], dict]:
    return {(one["area"], one["about"]): one for one in json.loads(said.out)["points"]}


def of_area(said, area: str) -> list[dict]:
    return [one for one in json.loads(said.out)["points"] if one["area"] == area]


@pytest.mark.machine
@pytest.mark.servers
def test_a_deployment_without_fault_has_nothing_to_mend_and_no_store_is_made(driftd, deployed, server):
    before = len(server.log())
    said = driftd("doctor", "--json")
    assert said.status == 0, said.out
    (instance,) = of_area(said, "instances")
    assert instance["mark"] == "note"
    assert "no store yet" in instance["says"]
    assert "Accepted publickey" not in server.log()[before:], "nobody logs in where no visit can be announced"
    assert not (deployed / "driftd.db").exists()
    found = points(said)
    assert found["store", "sqlite:///driftd.db"]["mark"] == "note"
    assert found["manifests", "img"]["mark"] == "good"
    assert found["trust", "release.pub"]["mark"] == "good"


@pytest.mark.machine
@pytest.mark.servers
def test_an_instance_is_visited_and_the_visit_is_announced(driftd, deployed, server):
    open_store(f"sqlite:///{deployed}/driftd.db").close()
    said = driftd("doctor", "--json")
    (instance,) = of_area(said, "instances")
    assert (said.status, instance["mark"]) == (0, "good"), said.out
    assert "as root, with Python 3" in instance["says"]
    store = open_store(f"sqlite:///{deployed}/driftd.db", read_only=True)
    with store.read() as tx:
        (visit,) = tx.visits(f"127.0.0.1:{server.port}")
        assert tx.last_line() is None
    store.close()
    assert visit.trace is not None
    assert visit.trace.entered_at is not None
    assert visit.closed_at is not None
    assert f"port {visit.trace.way.port}" in server.log()
    assert driftd("doctor", "--no-login").status == 0


@pytest.mark.machine
@pytest.mark.servers
def test_an_unknown_host_key_and_a_refused_key_are_wrong_and_say_what_to_do(driftd, deployed, server, tmp_path):
    open_store(f"sqlite:///{deployed}/driftd.db").close()
    config = (deployed / "driftd.yaml").read_text()
    (deployed / "driftd.yaml").write_text(config.replace(str(server.known_hosts), "none"))
    said = driftd("doctor", "--json")
    (instance,) = of_area(said, "instances")
    assert (said.status, instance["mark"]) == (1, "wrong")
    assert "driftd trust 127.0.0.1" in instance["hint"]
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", tmp_path / "other"], check=True)
    (deployed / "driftd.yaml").write_text(config.replace(str(server.client_key), "other"))
    said = driftd("doctor", "--json")
    (instance,) = of_area(said, "instances")
    assert "refused the key" in instance["says"]
    (tmp_path / "other").chmod(0o644)
    (key,) = of_area(driftd("doctor", "--json"), "ssh")
    assert (key["mark"], "chmod 600" in key["hint"]) == ("wrong", True)


FAULTS = [
    ("release.pub", "nowhere.pub", "trust", "cannot be read"),
    ("enforce: observe", "enforce: replace", "providers", "cannot launch"),
    ("policy: []", "policy: [nonesuch]", "policies", "nonesuch"),
    ("packages: ''", "packages: nowhere", "packages", "cannot be read"),
    ("groups:", 'prometheus: {url: "http://127.0.0.1:1"}\ngroups:', "prometheus", "refuses connections"),
    ("groups:", 'alertmanager: {url: "http://127.0.0.1:1"}\ngroups:', "alertmanager", "refuses connections"),
    ("groups:", "pause_file: nowhere/pause\ngroups:", "daemon", "no pause file could be made"),
    ("groups:", "store: sqlite:///nowhere/driftd.db\ngroups:", "store", "nowhere does not exist"),
    ("hosts: []", "hosts: ['127.0.0.1:1']", "instances", "nothing listens there"),
]


def test_evidence_needs_a_directory_and_room(driftd, tmp_path: Path):
    config = tmp_path / "driftd.yaml"
    config.write_text(
        "evidence: {directory: kept, room: 80M}\ngroups: {web: {provider: static, image: i, hosts: []}}\n"
    )

    def told() -> tuple[str, str]:
        one = points(driftd("doctor", "--json"))["machine", "evidence"]
        assert one["hint"] or one["mark"] == "good"
        return one["mark"], one["says"]

    kept = tmp_path / "kept"
    assert told() == ("good", f"0 B of 80.0 MiB are taken in {kept}, and there is room for 80.0 MiB more")
    assert not kept.exists(), "nothing is made by asking"
    kept.mkdir()
    for taken, mark in ((40 << 20, "note"), (80 << 20, "wrong"), (90 << 20, "wrong")):
        with (kept / "A.tar.gz").open("wb") as stream:
            stream.truncate(taken)
        assert told()[0] == mark
    (kept / "A.tar.gz").unlink()
    kept.rmdir()
    kept.write_text("a file")
    assert told() == ("wrong", f"no evidence could be kept in {kept}: it cannot be written")
    config.write_text(config.read_text().replace("hosts: []", "hosts: [], evidence: {take: false}"))
    assert ("machine", "evidence") not in points(driftd("doctor", "--json"))


def test_everything_that_is_wrong_is_told_in_its_area_with_what_to_do(driftd, tmp_path: Path):
    config = "packages: ''\ntrust: {manifest_keys: [release.pub]}\ngroups:\n  web: {provider: static, image: img, "
    config += "enforce: observe, policy: [], hosts: []}\n"
    for old, new, *_ in dict.fromkeys(FAULTS):
        assert old in config or new in config
        config = config.replace(old, new, 1)
    (tmp_path / "driftd.yaml").write_text(config)
    answer, human = driftd("doctor", "--json"), driftd("doctor")
    assert (answer.status, human.status) == (1, 1), answer.out
    for *_, area, said in FAULTS:
        bad = [one for one in of_area(answer, area) if one["mark"] in {"wrong", "unseen"}]
        assert any(said in one["says"] and one["hint"] for one in bad), (area, bad)
        assert all(f"next: {one['hint']}" in human.out for one in bad)


def test_a_configuration_that_cannot_be_read_is_exit_status_2_and_one_sentence(driftd, tmp_path: Path):
    (tmp_path / "driftd.yaml").write_text("groups: [not a mapping\n")
    said = driftd("doctor", "--json")
    assert said.status == 2
    (only,) = json.loads(said.out)["points"]
    assert (only["area"], only["mark"]) == ("configuration", "unusable")
    assert "driftd.yaml:" in only["says"]
    (tmp_path / "driftd.yaml").unlink()
    assert driftd("doctor").status == 1


def test_a_target_that_nobody_knows_is_a_mistake_with_what_was_meant(driftd, tmp_path: Path):
    (tmp_path / "driftd.yaml").write_text("groups: {web: {provider: static, hosts: [web-1.example], image: img}}\n")
    said = driftd("doctor", "wbe-1.example")
    assert said.status == 2
    assert "did you mean web-1.example?" in said.err


@pytest.mark.parametrize("held", [True, False])
def test_a_daemon_is_known_by_its_lease_and_who_listens_by_its_answer(driftd, tmp_path: Path, held: bool):
    listen = port()
    (tmp_path / "driftd.yaml").write_text(
        f"trust: {{unsigned: look}}\nmetrics: {{listen: '127.0.0.1:{listen}'}}\n"
        "groups: {web: {provider: static, hosts: [], image: img}}\n"
    )
    store = open_store(f"sqlite:///{tmp_path}/driftd.db")
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    if held:
        store.take_lease(here(), 60.0, now)
    said = driftd("doctor", "--json")
    assert points(said)["daemon", "lease"]["mark"] == ("good" if held else "note")
    metrics_point = points(said)["metrics", f"127.0.0.1:{listen}"]
    assert (metrics_point["mark"], said.status) == (("wrong", 1) if held else ("good", 0))
    metrics = Metrics(store, lambda: now, "0")
    listener = Listener(f"127.0.0.1:{listen}", metrics.registry, str, str)
    assert points(driftd("doctor", "--json"))["metrics", f"127.0.0.1:{listen}"]["says"] == (
        "driftd serves its metrics there"
    )
    listener.close()
    with socket.create_server(("127.0.0.1", listen)) as other:
        other.listen()
        answer = driftd("doctor", "--json")
    assert "another program listens there" in points(answer)["metrics", f"127.0.0.1:{listen}"]["says"]
    assert answer.status == 1
    store.close()


def test_the_settings_of_messages_are_looked_at_whatever_they_are():
    from pydantic import BaseModel

    from driftd.wiring.doctoring import _files

    class Slack(BaseModel):
        channel: str = "#fleet"
        token_file: str = "slack"  # the name of a file

    class Notify(BaseModel):
        slack: Slack = Slack()
        hooks: list[Slack] = [Slack(token_file="hook"), Slack(token_file="")]

    found = list(_files(Notify(), "notify"))
    assert found == [("notify.slack.token_file", "slack"), ("notify.hooks[0].token_file", "hook")]


def test_a_check_that_hangs_or_fails_is_one_point_and_keeps_nobody_waiting():
    import threading

    forever = threading.Event()

    def fails():
        raise Unavailable("it is down", "ask later")

    checks = [
        Check("a", "hangs", lambda: [Point("a", "", Mark.GOOD, "")] if forever.wait(600) else []),
        Check("b", "fails", fails),
        Check("c", "works", lambda: [Point("c", "works", Mark.GOOD, "well")]),
    ]
    (hung,), (failed,), (good,) = checkup(checks, limit_s=1.0)
    forever.set()
    assert (hung.mark, "within 1 s" in hung.says) == (Mark.UNSEEN, True)
    assert (failed.mark, failed.says, failed.hint) == (Mark.UNSEEN, "it is down", "ask later")
    assert good.mark is Mark.GOOD


def test_marks_are_plain_where_the_terminal_has_no_others(tmp_path: Path):
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "driftd", "doctor"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONIOENCODING": "ascii", "DRIFTD_CONFIG": ""},
        capture_output=True,
        check=False,
    )
    assert b"no defaults: there is no configuration" in done.stdout, done.stderr
    assert done.returncode == 1


def test_slack_is_asked_whether_it_takes_the_tokens(driftd, tmp_path):
    with slackd() as slack:
        text = f'notify: {{slack: {{channel: "#fleet", token_file: bot, app_token_file: app, url: "{slack.url}"}}}}'
        (tmp_path / "driftd.yaml").write_text(text)

        def asked(bot: str, app: str) -> list[tuple[str, str]]:
            for name, token in (("bot", bot), ("app", app)):
                (tmp_path / name).write_text(token)
                (tmp_path / name).chmod(0o600)
            said = driftd("doctor", "--json")
            assert "xox" not in said.out
            assert "xapp" not in said.out
            found = points(said)
            return [(one["mark"], one["says"]) for one in (found["notify", "slack"], found["notify", "slack buttons"])]

        good = [("good", f"Slack takes the token for {what}") for what in ("messages", "the buttons")]
        assert asked(BOT, APP) == good
        assert asked(BOT, "xapp-old") == [good[0], ("wrong", "Slack refuses apps.connections.open: invalid_auth")]
        assert asked("xoxb-old", APP) == [("wrong", "Slack refuses auth.test: invalid_auth"), good[1]]
        assert (slack.messages, slack.connections) == ([], [])
        slack.mode = "down"
        assert [mark for mark, _ in asked(BOT, APP)] == ["unseen", "unseen"]
