"""A changed fact of each kind is found on a real server, by a whole audit over SSH with the packs, and nothing else.

Machines with a kernel of their own are in ``test_facts_found_vm.py``.
"""

from __future__ import annotations

import io
import logging
import re
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import structlog
from changes_again import AGAIN, OTHER_HASH
from changes_local import HASH, LOCAL
from changes_vm import VM
from changing import KEY, Auditor, baked, missing, script, shown, told, unasked
from evading import POLICY, clock
from rich.console import Console
from servers import LocalDeployment

from driftd.core import manifesttext
from driftd.core.facts import FACT_KINDS
from driftd.core.findings import Verdict
from driftd.core.guards.case import GroupRules
from driftd.core.looks import Look
from driftd.core.manifest import Manifest
from driftd.core.memory import InstanceRow
from driftd.doors.report import json as json_report
from driftd.doors.report import table
from driftd.edges import logs
from driftd.edges.documents import load_policy
from driftd.edges.providers.local.provider import LocalProvider
from driftd.edges.ssh.looker import SshLooker
from driftd.edges.ssh.options import SshOptions
from driftd.edges.store.opening import open_store
from driftd.flows.audit import Rules
from driftd.flows.bake import bake
from driftd.flows.groups import Group
from driftd.flows.record import record_look

TESTS = Path(__file__).parent.parent
pytestmark = [pytest.mark.machine, pytest.mark.servers]
PERSON = told("session", "ssh:root@*")


def test_every_kind_in_the_documentation_has_a_change_here() -> None:
    text = (TESTS.parent / "docs" / "facts.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| `([a-z]+)` \|.*\|.*\|.*\|", text, re.MULTILINE))
    assert documented == set(FACT_KINDS)
    found = {want.kind for one in (*LOCAL, *AGAIN, *VM) for want in one.finds if want.kind == one.kind}
    assert sorted(documented - found) == []


@dataclass(frozen=True)
class Days:
    """One server: pristine, changed, baked as it is then, and changed again."""

    pristine: Look
    changed: Look
    again: Look
    provisional: Manifest
    logged: str
    provider: LocalProvider


@pytest.fixture(scope="module")
def days(golden_image, image_cache, login_key) -> Iterator[Days]:
    deployment = LocalDeployment(Path(tempfile.mkdtemp(prefix="dd-")), image_cache, golden_image, login_key)
    looker = SshLooker(SshOptions(key_file=str(login_key)))
    auditor = Auditor(baked(golden_image), looker, Rules(load_policy(POLICY, TESTS)))
    try:
        server = deployment.launch()
        logs.configure(logged := io.StringIO(), level=logging.DEBUG)
        pristine = auditor.audit(server)
        said = deployment.ssh(server, script(LOCAL))
        changed = auditor.audit(server)
        auditor.manifest = bake(looker, server, server.image, provisional=True, key=KEY)
        said += deployment.ssh(server, script(AGAIN))
        again = auditor.audit(server)
        assert said == ""
        yield Days(pristine, changed, again, auditor.manifest, logged.getvalue(), deployment.provider)
    finally:
        structlog.reset_defaults()
        deployment.clean()
        shutil.rmtree(deployment.root)


def test_pristine_it_is_explained(days) -> None:
    judgement = days.pristine.judgement
    assert judgement.verdict is Verdict.EXPLAINED, judgement.reason
    assert [shown(one) for one in judgement.findings] == []


@pytest.mark.parametrize("one", LOCAL, ids=lambda one: one.id)
def test_a_change_is_found(days, one) -> None:
    assert missing(one, days.changed.judgement.findings) == []


@pytest.mark.parametrize("one", AGAIN, ids=lambda one: one.id)
def test_a_change_of_what_was_baked_while_it_ran_is_found(days, one) -> None:
    assert missing(one, days.again.judgement.findings) == []


def test_nothing_else_is_found(days) -> None:
    assert unasked(LOCAL, days.changed.judgement.findings, PERSON) == []
    assert unasked(AGAIN, days.again.judgement.findings, PERSON) == []


def test_no_hash_of_a_password_is_in_what_is_written_or_printed(days, tmp_path) -> None:
    """Not in the manifest, the store, the reports or what was logged; only digests that need the image's key."""
    looks = [days.changed, days.again]
    store = open_store(f"sqlite:///{tmp_path}/driftd.db")
    group = Group("web", days.provider, GroupRules("web"))
    for look in looks:
        server, now = look.instance, clock()
        row = InstanceRow(
            server.id, "web", server.slot, server.image, server.address, "running",
            Verdict.UNKNOWN, "", "", now, None, now,
        )  # fmt: skip
        with store.write() as tx:
            record_look(tx, group, row, look, now)
    store.close()
    printed = Console(file=io.StringIO(), width=100)
    printed.print(table.render(looks))
    said = json_report.render(looks, clock()) + table.text(looks) + printed.file.getvalue()
    everything = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"backup" in everything, "the store has the finding"
    assert "backup" in said
    assert "looked over ssh" in days.logged
    everything += manifesttext.encode(days.provisional) + (said + days.logged).encode()
    for secret in (HASH, OTHER_HASH):
        for part in (secret, *secret.split("$")[2:], secret[-20:]):
            assert part.encode() not in everything
