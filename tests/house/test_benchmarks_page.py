"""docs/benchmarks.md is what the last run of `make bench` measured."""

import json
import subprocess
from pathlib import Path

import pytest

from bench.speed import page, table

ROOT = Path(__file__).resolve().parents[2]
DOCS = ROOT / "docs"


@pytest.fixture(scope="module")
def results():
    return json.loads((DOCS / "benchmarks.json").read_text(encoding="utf-8"))


def test_the_page_is_made_from_the_results(results):
    made = page.written(results)
    assert made == (DOCS / "benchmarks.md").read_text(encoding="utf-8"), "run: .venv/bin/python -m bench.speed --render"


def test_every_promise_stands_in_the_table(results):
    assert {line.key for line in table.LINES} == results["values"].keys()


def test_the_pictures_are_small_and_shown(results):
    text = (DOCS / "benchmarks.md").read_text(encoding="utf-8")
    pictures = sorted(DOCS.glob("benchmarks-*.png"))
    assert len(pictures) == len(results["growth"]) > 0
    for picture in pictures:
        assert picture.stat().st_size < 100_000, picture.name
        assert f"]({picture.name})" in text


def test_the_results_name_no_place_of_the_machine_they_were_measured_on():
    text = (DOCS / "benchmarks.json").read_text(encoding="utf-8")
    name = subprocess.run(["hostname"], capture_output=True, text=True, check=True).stdout.strip()
    assert name not in text
    assert not any(place in text for place in ("/tmp", "/work", "/home", "/root"))
