"""The dashboard is what scripts/dashboard.py makes, asks for nothing that there is not, and names what there is."""

import importlib.util
import json
import re
from pathlib import Path

from test_metrics_page import defined

ROOT = Path(__file__).resolve().parents[2]
DASHBOARD = ROOT / "grafana" / "driftd.json"
SUFFIXES = ("_bucket", "_sum", "_count")


def test_it_is_what_the_script_makes():
    spec = importlib.util.spec_from_file_location("dashboard", ROOT / "scripts" / "dashboard.py")
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    assert DASHBOARD.read_text() == script.made(), "run: python scripts/dashboard.py"


def test_its_panels_are_told_apart_described_and_ask_for_metrics_that_there_are():
    panels = [panel for panel in json.loads(DASHBOARD.read_text())["panels"] if panel["type"] != "row"]
    assert len({panel["id"] for panel in panels}) == len(panels) == len({panel["title"] for panel in panels})
    known = {*defined()}
    for panel in panels:
        assert panel["description"], panel["title"]
        assert len({one["refId"] for one in panel["targets"]}) == len(panel["targets"]) > 0
        for one in panel["targets"]:
            asked = set(re.findall(r"\bdriftd_\w+", one["expr"]))
            asked = {name.removesuffix(next((s for s in SUFFIXES if name.endswith(s)), "")) for name in asked}
            assert asked <= known, panel["title"]
