from __future__ import annotations
import os, time
from pathlib import Path
from asking import Look
from glancing import Known, Probe


def test_smoke(tree: Path, look_at: Look) -> None:
    (tree / "etc").mkdir()
    (tree / "etc/a").write_text("x")
    os.link(tree / "etc/a", tree / "b")
    (tree / "l").symlink_to("b")
    p = Probe()
    k = Known(p, tree)
    k.glance()
    assert k.tree() == look_at(tree).entries
    assert not k.same
    k.glance()
    assert k.same
    (tree / "etc/c").write_text("new")
    k.glance()
    assert k.reads == [b"/etc", b"/etc/c"]
    assert k.tree() == look_at(tree).entries
    assert p.end() == 0
