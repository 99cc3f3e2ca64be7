"""``driftd calibrate`` from outside, as far as nothing is launched; and audits that use what was learnt."""

import json
from pathlib import Path

import pytest

from driftd.core import manifesttext
from driftd.core.facts import Instance, Reach
from driftd.edges.local import LocalLooker
from driftd.flows.bake import bake

CONFIG = """\
trust: {{unsigned: look}}
store: sqlite:///driftd.db
providers:
  local: {{dir: {home}/fleet, images: {home}/images}}
groups:
  web: {{provider: local, image: img, reach: {{ssh: {{key: key}}}}}}
  api: {{provider: local, image: other, reach: {{ssh: {{key: key}}}}}}
  old: {{provider: static, image: img, hosts: [192.0.2.1]}}
  bare: {{provider: local, reach: {{ssh: {{key: key}}}}}}
"""
OVERLAY = """\
schema: driftd.policy/1
name: overlay
rules:
  - id: motd
    match: {path: /etc/motd, change: modified}
    expect: firstboot
    because: Pristine instances set it.
"""


@pytest.fixture
def configured(tmp_path: Path) -> Path:
    """A configuration whose image has a manifest; nothing of it is launched."""
    tree = tmp_path / "tree"
    (tree / "etc").mkdir(parents=True)
    (tree / "etc/motd").write_text("baked\n")
    (tmp_path / "manifests").mkdir()
    (tmp_path / "key.pub").write_text("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEx0 somebody\n")
    config = tmp_path / "driftd.yaml"
    config.write_text(CONFIG.format(home=tmp_path))
    made = bake(LocalLooker(), Instance("img", "", "img", reach=Reach(root=str(tree))), "img")
    (tmp_path / "manifests/img.manifest").write_bytes(manifesttext.encode(made))
    return tmp_path


def test_a_dry_run_says_what_would_be_launched_and_launches_nothing(driftd, configured: Path):
    said = driftd("calibrate", "web", "--dry-run", "-n", 2, "--wait", "0s")
    assert said.status == 0, said.err
    for word in ("web/calibration-1", "web/calibration-2", "after boot, after a restart", "img.overlay.yaml"):
        assert word in said.out
    assert "calibration-3" not in said.out
    assert not (configured / "fleet").exists()


def test_a_dry_run_for_programs(driftd, configured: Path):
    (configured / "manifests/img.overlay.yaml").write_text(OVERLAY)
    made = json.loads(driftd("calibrate", "img", "--group", "web", "--dry-run", "--format", "json").out)
    assert (made["schema"], made["group"], made["image"]) == ("driftd.calibration/1", "web", "img")
    assert made["slots"] == ["web/calibration-1", "web/calibration-2", "web/calibration-3"]
    assert made["replaces"] is True


def test_an_image_is_launched_by_the_group_whose_image_it_is(driftd, configured: Path):
    assert "of group web" in driftd("calibrate", "img", "--dry-run").out


@pytest.mark.parametrize(
    ("words", "says", "hint"),
    [
        (["nothing"], "several groups could launch 'nothing'", "--group"),
        (["img", "--group", "x"], "no group is called 'x'", "the configuration has"),
        (["old"], "provider static of group old cannot launch instances", "whose provider can"),
        (["bare"], "group bare names no image", "driftd calibrate IMAGE --group"),
        (["api"], "there is no manifest of other", "driftd bake"),
        (["web", "-n", "1"], "calibrating takes 2 to 20 instances, not 1", "what they share"),
        (["web", "--wait", "soon"], "--wait: 'soon' is not a duration", ""),
        (["web", "--at-most", "3d"], "a calibration may take two days at most", "shorter"),
        (["web", "--wait", "2h"], "waiting would take all the time that there is", "longer --at-most"),
    ],
)
def test_what_cannot_be_calibrated_is_one_sentence_and_a_remedy(driftd, configured: Path, words, says, hint):
    said = driftd("calibrate", *words, "--dry-run")
    assert said.status == 2
    assert says in said.err
    assert hint in said.err
    assert len(said.err.strip().splitlines()) <= 2


# --- what was learnt, applied ----------------------------------------------------------------------------------------


@pytest.fixture
def changed(configured: Path) -> list[object]:
    (configured / "tree/etc/motd").write_text("first boot\n")
    (configured / "manifests/img.overlay.yaml").write_text(OVERLAY)
    manifest = configured / "manifests/img.manifest"
    return ["audit", "--root", configured / "tree", "--manifest", manifest, "--policy", "sessions"]


def test_what_was_learnt_explains_beside_its_manifest(driftd, changed):
    said = driftd(*changed, "--format", "json")
    assert said.status == 0, said.out
    assert json.loads(said.out)["instances"][0]["verdict"] == "explained"
    assert "overlay:motd" in said.out


def test_strict_switches_it_off(driftd, changed):
    assert driftd(*changed, "--strict").status == 1


def test_a_damaged_one_leaves_it_unknown(driftd, configured: Path, changed):
    (configured / "manifests/img.overlay.yaml").write_text("rules: [")
    said = driftd(*changed)
    assert said.status == 3
    assert "img.overlay.yaml:1: not YAML" in " ".join(said.out.split())


def test_one_that_the_signature_does_not_cover_is_refused(driftd, configured: Path, changed):
    manifest = configured / "manifests/img.manifest"
    overlay = configured / "manifests/img.overlay.yaml"
    overlay.unlink()
    assert driftd("manifest", "keygen", configured / "release").status == 0
    assert driftd("manifest", "sign", manifest, "--key", configured / "release").status == 0
    overlay.write_text(OVERLAY)
    with_key = [*changed, "--key", configured / "release.pub"]
    refused = driftd(*with_key)
    assert refused.status != 0
    assert "img.overlay.yaml" in refused.err + refused.out
    assert driftd("manifest", "sign", manifest, "--key", configured / "release").status == 0
    assert driftd(*with_key).status == 0
