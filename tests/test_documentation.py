"""What the README and the pages of `docs/` show is what happens: their commands, programs and configs are run and compared."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.documentation.blocks import pictures, read_page
from tests.documentation.pages import RUN, all_pages, not_run, reasons, run_page, static_faults, twin
from tests.documentation.pictures import picture_difference
from tests.documentation.prose import prose_faults
from tests.documentation.terminal import ROOT, Terminal

SLOW = ("docs/learn/transfer.md", "docs/how-to/sweep.md")
"""Pages that take half a minute of processor time, most of it in one command; `make test-slow` runs them."""


def _is_run(page: str) -> bool:
    return page == twin(page) and page not in reasons() and any(block.language in RUN for block in read_page(ROOT / page))


PAGES = [pytest.param(page, marks=pytest.mark.slow) if page in SLOW else page for page in all_pages() if _is_run(page)]


@pytest.fixture(scope="session")
def terminal() -> Iterator[Terminal]:
    with Terminal() as opened:
        yield opened


@pytest.mark.parametrize("page", PAGES)
def test_commands_programs_and_pictures_of_a_page_are_as_it_says(page: str, terminal: Terminal, tmp_path: Path) -> None:
    faults = [fault for fault, *_ in run_page(page, terminal, tmp_path) if fault]
    assert faults == [], "\n".join(faults)
    differences = [picture_difference(tmp_path / made, shown) for made, shown in pictures(ROOT / page)]
    assert [each for each in differences if each] == []


@pytest.mark.parametrize("page", all_pages())
def test_configs_and_command_lines_of_a_page_are_accepted(page: str, tmp_path: Path) -> None:
    assert list(static_faults(page, tmp_path)) == []


@pytest.mark.parametrize("page", all_pages())
def test_commands_options_and_keys_in_the_text_of_a_page_are_there(page: str) -> None:
    assert list(prose_faults(ROOT / page)) == []


def test_blocks_that_are_not_run_have_a_reason_and_are_counted() -> None:
    counted = {page: len(not_run(page)) for page in all_pages()}
    assert {page: count for page, count in counted.items() if count} == {page: each.blocks for page, each in reasons().items()}


@pytest.mark.parametrize("page", [page for page in all_pages() if page != twin(page)])
def test_a_translation_has_the_blocks_and_pictures_of_the_english_page(page: str) -> None:
    translated, english = ([(b.language, b.title, b.text, b.notes) for b in read_page(ROOT / each)] for each in (page, twin(page)))
    assert translated == english
    assert pictures(ROOT / page) == pictures(ROOT / twin(page))


def test_pictures_of_the_documentation_are_small() -> None:
    files = [path for path in (ROOT / "docs").rglob("*") if path.suffix in (".png", ".svg")]
    assert sum(path.stat().st_size for path in files) < 1.5e6
