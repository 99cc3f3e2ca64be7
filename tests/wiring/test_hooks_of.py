"""A group's hooks as a configuration names them."""

from __future__ import annotations

from pathlib import Path

from driftd import settings
from driftd.core.facts import Instance
from driftd.core.ports import HookName
from driftd.wiring.hooks import hooks_of

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


def test_a_group_without_hooks_has_none(tmp_path: Path):
    (tmp_path / "driftd.yaml").write_text(GROUPS)
    loaded = settings.load(tmp_path / "driftd.yaml")
    assert hooks_of(loaded, loaded.group("web")) is None
