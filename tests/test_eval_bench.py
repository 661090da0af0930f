"""The benchmark of speed: growth, processes, tables."""

import json
from pathlib import Path

import pytest

from eval.bench import COMMITTED, write_many
from eval.benchtables import OWN, SECTION, format_report, format_systems
from eval.processes import RunFailed, run_python
from eval.readme import split_section
from eval.rivals import main as run_rival
from eval.scale import ScaleRow, fit_growth, format_rows
from rag.parse import parse_document
from tests.conftest import CORPUS, make_document

README = CORPUS.parent / "README.md"


def make_row(n: int, p50_ms: float) -> ScaleRow:
    return ScaleRow(n, "flat", n / 100, n / 10, 100.0, 1.0, p50_ms, 3 * p50_ms)


def test_growth_is_the_exponent_of_the_number_of_passages() -> None:
    growth = fit_growth([make_row(n, 2 * n**0.5) for n in (100, 1_000, 10_000)])
    assert growth["p50_ms"] == pytest.approx(0.5)
    assert growth["build_s"] == pytest.approx(1.0)
    assert fit_growth([make_row(100, 1.0)]) == {}
    assert "0.50 / 0.50" in format_rows([make_row(n, n**0.5) for n in (100, 10_000)])


def test_a_process_is_measured_and_one_that_fails_says_why() -> None:
    run = run_python("-c", "import time; data = bytearray(60_000_000); time.sleep(0.2); print('done')")
    assert run.output == "done\n"
    assert run.seconds >= 0.2
    assert run.peak_mb > 60
    with pytest.raises(RunFailed, match="no such luck"):
        run_python("-c", "raise SystemExit('no such luck')")


def test_larger_notes_hold_every_question_again_and_no_answer_twice(tmp_path: Path) -> None:
    text = write_many(tmp_path, 3).read_text(encoding="utf-8")
    questions = [question for question in parse_document(make_document(text)) if not question.parent]
    assert 3 * 39 <= len(questions) < 3 * 45  # a shuffled line may look like one
    bodies = [text[question.body_start : question.end] for question in questions if question.end - question.start > 400]
    assert len(set(bodies)) == len(bodies) > 20


def test_a_system_is_measured_by_the_same_door_as_the_program(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    notes = tmp_path / "a.md"
    notes.write_text("## 1. 什么是困惑度\n\n困惑度是交叉熵的指数，越低越好。\n", encoding="utf-8")
    assert run_rival([OWN, "ingest", str(notes), str(tmp_path / "store")]) == 0
    assert run_rival([OWN, "ask", str(notes), str(tmp_path / "store"), "--rounds", "1"]) == 0
    times = json.loads(capsys.readouterr().out)
    assert 0 < times["warm_ms"]
    assert 0 < times["first_ms"]


def test_others_are_shown_with_how_many_times_they_need() -> None:
    own = {"ingest": {"seconds": 1.0, "peak_mb": 100.0}, "cold": {"seconds": 0.2, "peak_mb": 100.0}, "warm_ms": 4.0}
    other = {"ingest": {"seconds": 6.0, "peak_mb": 700.0}, "cold": {"seconds": 5.0, "peak_mb": 700.0}, "warm_ms": 2.0}
    systems = {name: row | {"ingest_many": row["ingest"]} for name, row in ((OWN, own), ("llamaindex", other))}
    line = format_systems({"systems": systems}).splitlines()[-1]
    assert line.split(" | ")[1:4] == ["5.00 s（25.0×）", "700 MB（7.0×）", "2.0 ms（0.5×）"]


def test_the_tables_in_the_readme_are_made_from_the_committed_figures() -> None:
    _, shown, _ = split_section(README.read_text(encoding="utf-8"), README, SECTION)
    assert shown == format_report(json.loads(COMMITTED.read_text(encoding="utf-8")))
