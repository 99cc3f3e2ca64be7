"""The page of breakers says what is in the code, and its numbers are what a configuration takes."""

import re

import pytest
from breakers_page import PAGE, render

from driftd.core.breakers.limits import DEFAULTS
from driftd.settings import load
from driftd.wiring.breaking import limits_of

TEXT = PAGE.read_text(encoding="utf-8")


def test_the_page_is_made_from_the_rules():
    assert render(TEXT) == TEXT, "PYTHONPATH=tests/house python -m breakers_page writes it anew"


def test_its_numbers_load_and_are_the_defaults(tmp_path):
    (numbers,) = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    (tmp_path / "driftd.yaml").write_text(numbers)
    assert limits_of(load(tmp_path / "driftd.yaml")) == DEFAULTS


def test_other_numbers_are_taken_and_wrong_ones_refused(tmp_path):
    (tmp_path / "driftd.yaml").write_text("breakers: {observe_first: 0s, alike: 3}\n")
    limits = limits_of(load(tmp_path / "driftd.yaml"))
    assert (limits.observe_first.total_seconds(), limits.alike, limits.alike_percent) == (0, 3, 20)
    (tmp_path / "driftd.yaml").write_text("breakers: {ill_percent: 0}\n")
    with pytest.raises(Exception, match="ill_percent"):
        load(tmp_path / "driftd.yaml")
