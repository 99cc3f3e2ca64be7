"""The page of packs says what is in policies/."""

from packs_page import PAGE, render


def test_the_page_of_packs_is_made_from_the_packs():
    assert PAGE.read_text(encoding="utf-8") == render(), "PYTHONPATH=tests/house python -m packs_page writes it anew"
