"""The page about replacement shows the steps and variants as they are."""

from replacement_page import PAGE, render


def test_the_page_is_what_the_table_says():
    page = PAGE.read_text(encoding="utf-8")
    assert page == render(page), "PYTHONPATH=tests/house python -m replacement_page writes it anew"
