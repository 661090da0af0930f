"""Result files, their comparison, the tables and the report."""

import base64
import re
from dataclasses import replace
from pathlib import Path

import pytest

from eval.compare import Difference, compare_files, compare_results, format_differences
from eval.judge import DECISION, FIRST_RIGHT, Record
from eval.readme import markers, split_section
from eval.report import SECTION, fill_readme, make_page, write_report
from eval.results import Board, Result, make_board, read_board, read_result, slim, write_board, write_result
from eval.tables import format_board
from rag.errors import UsageError


def make_record(name: str, ndcg: float, category: str = "near", **others: float) -> Record:
    values = {"nDCG@10": ndcg, "R@1": ndcg, "R@5": ndcg, "RR": ndcg, FIRST_RIGHT: float(ndcg == 1), DECISION: 1.0}
    return Record(name, category, True, False, ndcg, 2.0, (("Q1", 0.5),), values | others)


BEGIN, END = markers(SECTION)
ABSENT = Record("a1", "absent", False, True, 0.1, 4.0, (), {DECISION: 1.0})


def make_result(*values: float, name: str = "full") -> Result:
    records = [make_record(f"n{at}", value, "near" if at % 2 else "far") for at, value in enumerate(values)]
    return Result(name, "完整", "Parts()", "test", "c0", "q0", "e0", (*records, ABSENT))


def test_a_result_is_read_as_it_was_written(tmp_path: Path) -> None:
    result = make_result(1.0, 0.5)
    path = write_result(tmp_path / "deep", result)
    assert path.name == f"full-{result.digest}.json"
    assert read_result(path) == result


@pytest.mark.parametrize("field", ["name", "parts", "split", "corpus", "queries", "encoder"])
def test_the_digest_tells_apart_what_a_result_depends_on(field: str) -> None:
    result = make_result(1.0)
    assert replace(result, **{field: "other"}).digest != result.digest  # type: ignore[arg-type]
    assert make_result(0.0).digest == result.digest


@pytest.mark.parametrize(
    ("text", "message"), [("{", "不是 JSON"), ("[]", "不是评测结果"), ('{"records": [{}]}', "不是评测结果")]
)
def test_a_file_that_is_no_result_is_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "x.json").write_text(text)
    with pytest.raises(UsageError, match=rf"x\.json: {message}"):
        read_result(tmp_path / "x.json")


def test_the_comparison_by_hand() -> None:
    first, second = make_result(0.0, 0.5, 0.2, 0.7), make_result(0.3, 0.8, 0.5, 1.0)
    found = {(one.measure, one.category): one for one in compare_results(first, second)}
    assert found["nDCG@10", ""] == Difference(
        "nDCG@10", "", 4, pytest.approx(0.3), pytest.approx(0.3), pytest.approx(0.3)
    )
    assert found["nDCG@10", ""].sure
    assert (found["nDCG@10", "far"].n, found[DECISION, ""].n) == (2, 5)
    assert not found[DECISION, ""].sure
    assert not found[FIRST_RIGHT, ""].sure
    assert ("nDCG@10", "absent") not in found


def test_a_difference_within_chance_is_said_to_be(tmp_path: Path) -> None:
    files = [
        write_result(tmp_path, make_result(*values, name=name))
        for name, values in (("one", (0.0, 1.0, 0.0, 1.0)), ("two", (1.0, 0.0, 0.0, 1.0)), ("up", (1.0, 1.0, 1.0, 1.0)))
    ]
    lines = format_differences(compare_files(files[0], files[1])).splitlines()
    assert re.fullmatch(r"\| nDCG@10（全部） \| 4 \| \+0\.0 \| -\d+\.\d 到 \+\d+\.\d \| 分不出 \|", lines[2])
    swapped = {(one.measure, one.category): one for one in compare_files(files[2], files[0])}
    assert swapped["nDCG@10", ""].mean == pytest.approx(-0.5)


def test_results_of_other_queries_are_not_compared(tmp_path: Path) -> None:
    one = write_result(tmp_path, make_result(1.0))
    other = write_result(tmp_path, replace(make_result(1.0), queries="q1"))
    with pytest.raises(UsageError, match="不是同一组问题的结果"):
        compare_files(one, other)


@pytest.fixture
def board() -> Board:
    return make_board([make_result(0.5, 0.25, name="bm25"), make_result(1.0, 0.75)])


def test_a_board_is_read_as_it_was_written(tmp_path: Path, board: Board) -> None:
    write_board(tmp_path / "board.json", board)
    assert read_board(tmp_path / "board.json") == board
    (tmp_path / "board.json").write_text("{}")
    with pytest.raises(UsageError, match=r"board\.json: 不是消融结果"):
        read_board(tmp_path / "board.json")


def test_a_slim_board_makes_the_same_tables(board: Board) -> None:
    small = slim(board)
    assert format_board(small) == format_board(board)
    assert len(repr(small)) < 0.8 * len(repr(board))


def test_the_tables_show_what_was_measured(board: Board) -> None:
    text = format_board(board)
    assert "test 的 3 问（2 问笔记里有答案" in text
    assert "| `full` 完整 | 87.5 (75–100) |" in text
    assert "100.0 | 2.0 / 4.0 ms |" in text
    assert text.splitlines()[-4:] == [
        "| 配置 | 换句话说 (1) | 不用原词 (1) | 笔记没有 (1) |",
        "|---|---|---|---|",
        "| `bm25` 完整 | 25 | 50 | 100 |",
        "| `full` 完整 | 75 | 100 | 100 |",
    ]


def test_the_report_needs_nothing_beside_itself(tmp_path: Path, board: Board) -> None:
    records = {"full": make_result(1.0, 0.75).records, "bm25": make_result(0.5, 0.25).records}
    page = write_report(tmp_path, board, records).read_text(encoding="utf-8")
    links = re.findall(r"""(?:src|href|url)\s*[=(]\s*["']?([^"'\s>)]+)""", page)
    assert len(links) == 3
    for link, name in zip(links, ("categories.png", "risk.png", "times.png"), strict=True):
        data = base64.b64decode(link.removeprefix("data:image/png;base64,"))
        assert data.startswith(b"\x89PNG")
        assert (tmp_path / name).read_bytes() == data
    assert "http" not in re.sub(r"base64,[^\"]+", "", page)
    assert "<td>full 完整</td><td>87.5 (75–100)</td>" in page


def test_the_pictures_show_the_numbers(tmp_path: Path, board: Board) -> None:
    worse = make_board([make_result(0.5, 0.25, name="bm25"), make_result(0.0, 0.0)])
    names = ("categories.png", "risk.png")
    for folder, shown, last in (("a", board, (1.0, 0.75)), ("b", worse, (0.0, 0.0)), ("c", board, (1.0, 0.75))):
        write_report(tmp_path / folder, shown, {"full": make_result(*last).records})
    for name in names:
        first, other, again = ((tmp_path / folder / name).read_bytes() for folder in "abc")
        assert first != other
        assert first == again


def test_what_the_notes_say_is_escaped_in_the_page(board: Board) -> None:
    row = replace(board.rows[0], description="<script>")
    assert "&lt;script&gt;" in make_page(replace(board, rows=(row,)), {})
    assert "<script>" not in make_page(replace(board, rows=(row,)), {})


def test_the_readme_is_filled_between_its_markers(tmp_path: Path, board: Board) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(f"前\n{BEGIN}\n旧表\n{END}\n后\n", encoding="utf-8")
    fill_readme(readme, board)
    fill_readme(readme, board)
    assert readme.read_text(encoding="utf-8") == f"前\n{BEGIN}\n{format_board(board)}\n{END}\n后\n"


@pytest.mark.parametrize("text", ["没有", BEGIN, f"{END}{BEGIN}", f"{BEGIN}{BEGIN}{END}"])
def test_a_readme_without_its_markers_is_left_alone(tmp_path: Path, board: Board, text: str) -> None:
    readme = tmp_path / "README.md"
    readme.write_text(text)
    with pytest.raises(UsageError, match=r"README\.md: 要有一对 <!-- eval:begin -->"):
        fill_readme(readme, board)
    assert readme.read_text() == text
    with pytest.raises(UsageError, match="要有一对"):
        split_section(text, readme, SECTION)
