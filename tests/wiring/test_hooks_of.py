"""A group's hooks as a configuration names them."""

from __future__ import annotations

import base64
import re
from datetime import timedelta
from pathlib import Path

import pytest
from receiving import receiver

from driftd import settings
from driftd.core.errors import BadInput
from driftd.core.facts import Instance, Unseen
from driftd.core.hooks import HookName, OnFailure, Terms
from driftd.settinghooks import HookSetting, HookSettings
from driftd.wiring.groups import manner_of
from driftd.wiring.hooks import hooks_of

ROOT = Path(__file__).resolve().parents[2]
GROUPS = """\
groups:
  db:
    provider: static
    hooks:
      quiesce: [./bin/quiesce, "--for", 10s]
      serve: [sh, -c, "exit 4"]
      timeout: 2s
  web: {provider: static}
"""


def test_paths_are_those_of_the_file_and_names_those_of_path(tmp_path: Path):
    (tmp_path / "driftd.yaml").write_text(GROUPS)
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/quiesce").write_text('#!/bin/sh\necho "$0 $*"; exit 1\n')
    (tmp_path / "bin/quiesce").chmod(0o755)
    loaded = settings.load(tmp_path / "driftd.yaml")
    hooks = hooks_of(loaded, loaded.group("db"))
    assert hooks is not None
    assert [name for name in HookName if hooks.has(name)] == [HookName.QUIESCE, HookName.SERVE]
    said = hooks.run(HookName.QUIESCE, Instance("i-1", "db", "db-1"), "db", {})
    assert said == f"the quiesce hook of db on i-1 failed with status 1: {tmp_path}/bin/quiesce --for 10s"
    assert hooks.run(HookName.SERVE, Instance("i-1", "db", "db-1"), "db", {}).endswith("status 4: it said nothing")


LONG = """\
groups:
  db:
    provider: static
    hooks:
      timeout: 2s
      quiesce: ["true"]
      pre_drain: {command: [sh, -c, "sleep 5"], timeout: 300ms, on_failure: continue, within: 0s}
      post_attach: {url: "URL", token_file: token, secret_file: secret}
      pre_terminate: {url: "URL", on_failure: hold}
"""
DB = Instance("i-1", "db", "db-1")


def long_form(tmp_path: Path, url: str, text: str = LONG):
    (tmp_path / "driftd.yaml").write_text(text.replace("URL", url))
    (tmp_path / "token").write_text("t0ken-0123456789\n")
    (tmp_path / "secret").write_bytes(b"whsec_" + base64.b64encode(bytes(32)))
    return settings.load(tmp_path / "driftd.yaml")


def test_the_long_form_names_a_command_or_a_url_with_its_own_time(tmp_path: Path):
    with receiver() as there:
        loaded = long_form(tmp_path, there.url)
        hooks = hooks_of(loaded, loaded.group("db"), "db")
        assert hooks is not None
        assert hooks.run(HookName.QUIESCE, DB, "db", {}) == ""
        assert hooks.run(HookName.PRE_DRAIN, DB, "db", {}).endswith("did not finish within 0.3 s")
        assert hooks.run(HookName.POST_ATTACH, DB, "db", {"rid": "r-1"}) == ""
        assert hooks.run(HookName.SERVE, DB, "db", {}) == "", "there is none"
        assert isinstance(hooks.ask(HookName.QUORUM, DB, "db"), Unseen)
    (posted,) = there.posts
    assert posted.headers["authorization"] == "Bearer t0ken-0123456789"
    assert posted.headers["webhook-signature"].startswith("v1,")


def test_what_is_declared_reaches_the_decision(tmp_path: Path):
    manner = manner_of(long_form(tmp_path, "http://127.0.0.1:1/x").group("db"))
    minute = timedelta(minutes=1)
    assert manner.terms_of("quiesce") == Terms("quiesce", OnFailure.ABORT, 2 * minute)
    assert manner.terms_of("pre_drain") == Terms("pre_drain", OnFailure.CONTINUE, 0 * minute)
    assert manner.terms_of("pre_terminate") == Terms("pre_terminate", OnFailure.HOLD, 2 * minute)
    assert manner.terms_of("serve") == Terms("serve")


def test_handing_over_is_a_part_of_coming_to_rest(tmp_path: Path):
    text = "groups: {db: {provider: static, hooks: {step_down: {command: [x], on_failure: continue}}}}"
    manner = manner_of(long_form(tmp_path, "", text).group("db"))
    assert manner.terms_of("quiesce").on_failure is OnFailure.CONTINUE


@pytest.mark.parametrize(
    ("hook", "said"),
    [
        ('{url: "http://hooks.example/x", token_file: token}', "in clear"),
        ('{url: "ftp://hooks.example/x"}', "is no address"),
        ('{url: "https://ann:pw@hooks.example/x"}', "has a name or password in it"),
        ('{url: "https://hooks.example/x", token_file: gone}', "cannot be read"),
        ('{url: "https://hooks.example/x", secret_file: token}', "is no secret of a webhook"),
        ('{url: "https://hooks.example/x", ca_file: token}', "cannot be read"),
    ],
)
def test_what_cannot_be_called_is_said_with_its_place_and_without_a_secret(tmp_path: Path, hook: str, said: str):
    text = f"groups: {{db: {{provider: static, hooks: {{pre_drain: {hook}}}}}}}"
    loaded = long_form(tmp_path, "", text)
    with pytest.raises(BadInput, match=said) as caught:
        hooks_of(loaded, loaded.group("db"), "db")
    assert str(caught.value).startswith("groups.db.hooks.pre_drain: ")
    assert caught.value.hint
    assert "t0ken" not in str(caught.value)
    assert "pw" not in str(caught.value)


def test_the_example_of_the_page_is_one(tmp_path: Path):
    (example,) = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/hooks.md").read_text(), re.DOTALL)
    (tmp_path / "driftd.yaml").write_text(example)
    group = settings.load(tmp_path / "driftd.yaml").group("db")
    assert {name for name, _ in group.hooks.each()} == set(HookName)
    manner = manner_of(group)
    assert manner.terms_of("pre_terminate").on_failure is OnFailure.HOLD
    assert manner.terms_of("pre_drain").on_failure is OnFailure.CONTINUE
    assert group.hooks.lasting() == timedelta(minutes=5)


def test_every_setting_of_a_hook_stands_on_the_page():
    page = (ROOT / "docs/hooks.md").read_text()
    for name in [*HookSetting.model_fields, *HookSettings.model_fields, *OnFailure]:
        assert f"`{name}`" in page


def test_a_group_without_hooks_has_none(tmp_path: Path):
    (tmp_path / "driftd.yaml").write_text(GROUPS)
    loaded = settings.load(tmp_path / "driftd.yaml")
    assert hooks_of(loaded, loaded.group("web")) is None
