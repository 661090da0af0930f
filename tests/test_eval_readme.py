"""The table in the README is the one that the committed results make, and they are of today's queries and encoder."""

from pathlib import Path

from eval.queries import digest_queries, load_queries
from eval.readme import split_section
from eval.report import SECTION, format_readme
from eval.results import COMMITTED, read_board
from rag.pipeline import Notes

README = Path(__file__).parent.parent / "README.md"


def test_the_table_in_the_readme_is_made_from_the_committed_results() -> None:
    text = README.read_text(encoding="utf-8")
    _, shown, _ = split_section(text, README, SECTION)
    assert shown == format_readme(read_board(COMMITTED))


def test_the_committed_results_are_of_these_queries_and_this_encoder(notes: Notes) -> None:
    board = read_board(COMMITTED)
    rerun = "python -m eval ablate --save && python -m eval report --readme"
    assert board.queries == digest_queries(load_queries()), rerun
    assert board.encoder == notes.encoder.fingerprint, rerun
