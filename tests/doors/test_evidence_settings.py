"""Settings of evidence: what a person may write, and what a mistake is answered with."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from driftd import settings
from driftd.core.custody.terms import Contents, Terms
from driftd.core.errors import BadInput
from driftd.core.world import Manner
from driftd.wiring.groups import evidence_of, manner_of

GROUP = "groups:\n  web:\n    provider: static\n    hosts: [192.0.2.1]\n"


def load(tmp_path: Path, text: str) -> settings.Settings:
    file = tmp_path / "driftd.yaml"
    file.write_text(text)
    return settings.load(file)


def test_it_is_on_with_modest_limits_and_required_by_nobody(tmp_path):
    loaded = load(tmp_path, GROUP)
    group = loaded.group("web")
    assert evidence_of(group) == Terms(timedelta(days=30), 64 << 20, 1 << 20, Contents.ALL)
    assert manner_of(group) == Manner(evidence=True)
    assert (loaded.evidence.directory, loaded.evidence.room) == ("", 4 << 30)


def test_what_a_group_says(tmp_path):
    said = "    evidence: {require: true, rollouts: true, keep: 2d, max_bytes: 2M, file_bytes: 500K, contents: shown}\n"
    group = load(tmp_path, GROUP + said).group("web")
    assert evidence_of(group) == Terms(timedelta(days=2), 2 << 20, 500 << 10, Contents.SHOWN)
    assert manner_of(group) == Manner(evidence=True, evidence_required=True, evidence_of_rollouts=True)
    off = load(tmp_path, GROUP + "    evidence: {take: false, require: true}\n").group("web")
    assert manner_of(off) == Manner(), "what is not taken cannot be required"


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("keep: 0s", "keep"),
        ("keep: long", "write it like 90s"),
        ("max_bytes: many", "write it like 500K, 64M or 4G"),
        ("max_bytes: 1G", "max_bytes"),
        ("file_bytes: 17M", "file_bytes"),
        ("contents: some", "contents"),
        ("requires: true", "requires"),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path, said, why):
    with pytest.raises(BadInput, match=r"driftd\.yaml:5") as refused:
        load(tmp_path, GROUP + f"    evidence: {{{said}}}\n")
    assert why in f"{refused.value} {refused.value.hint}"
