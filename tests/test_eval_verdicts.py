"""The measured verifier: the judged sentences fit the notes, measures by hand, the command from end to end."""

import json
import re
from collections import Counter
from pathlib import Path

import pytest

from eval.__main__ import main
from eval.verdict_tables import FILE, format_half
from eval.verdicts import KINDS, OWN, VERDICTS, Judged, judge_cases, list_passages, load_cases, summarise
from rag.errors import UsageError
from rag.pipeline import Notes
from rag.verification.support import SIGNS
from rag.verify import Verifier

CASES = load_cases()


def test_the_sentences_are_many_and_each_is_there_once() -> None:
    assert len(CASES) >= 200
    assert len({case.id for case in CASES}) == len({case.sentence for case in CASES}) == len(CASES)


def test_every_kind_is_in_both_halves() -> None:
    counts = Counter((case.kind, case.split) for case in CASES)
    assert set(counts) == {(kind, half) for kind in KINDS for half in ("dev", "test")}
    assert min(counts.values()) >= 10


def test_labels_are_questions_of_the_notes_and_the_right_ones_were_retrieved(notes: Notes) -> None:
    known = {question.label for question in notes.questions}
    for case in CASES:
        assert {*case.cited, *case.retrieved, *case.labels} <= known
        assert bool(case.labels) == (case.verdict != "unsupported")
        assert not case.labels or set(case.labels) & set(case.retrieved)
        assert (case.kind == "miscited") == bool(case.labels and not set(case.cited) & set(case.labels))


def test_a_question_is_in_one_half_only() -> None:
    halves: dict[str, set[str]] = {}
    for case in CASES:
        halves.setdefault(case.retrieved[0], set()).add(case.split)
    assert all(len(found) == 1 for found in halves.values())


def test_measures_by_hand() -> None:
    pairs = [("supported", "supported")] * 3 + [("supported", "partly"), ("unsupported", "supported")]
    judged = [Judged(str(at), "near", expected, found, None, "") for at, (expected, found) in enumerate(pairs)]
    table = summarise(judged)
    assert (table["supported"]["precision"], table["supported"]["recall"]) == (3 / 4, 3 / 4)
    assert table["supported"]["f1"] == pytest.approx(3 / 4)
    assert (table["partly"]["precision"], table["unsupported"]["recall"]) == (0.0, 0.0)
    low, high = table["supported"]["precision_ci"]
    assert low < 3 / 4 < high


def test_tables_count_what_was_taken_for_what() -> None:
    judged = [
        Judged("a", "near", "supported", "supported", True, ""),
        Judged("b", "half", "partly", "unsupported", None, "x"),
    ]
    shown = format_half("dev", judged)
    assert "| 支持 | 1 | 0 | 0 |\n| 部分支持 | 0 | 0 | 1 |" in shown
    assert "| 接近原文 | 1 | 0 | 0 |" in shown
    assert "留下的题号 1/1 句全对" in shown


def test_near_quotes_are_supported_and_changed_numbers_are_not(notes: Notes) -> None:
    chosen = [case for case in CASES if case.kind in ("near", "number") and case.split == "dev"]
    judged = judge_cases(chosen, Verifier(notes.encoder), list_passages(notes))
    wrong = [one.id for one in judged if one.found != one.expected]
    assert len(wrong) <= len(chosen) // 20
    assert all(one.reason for one in judged if one.found == "unsupported")


def test_a_run_prints_both_halves_and_writes_a_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = {case.id for case in CASES if case.kind in ("near", "absent")}
    lines = [line for line in OWN.read_text(encoding="utf-8").splitlines() if json.loads(line)["id"] in chosen]
    data = tmp_path / "few.jsonl"
    data.write_text("\n".join(lines[::6]), encoding="utf-8")
    assert main(["verify", "--data", str(data), "--out", str(tmp_path / "out")]) == 0
    result = json.loads((tmp_path / "out" / FILE).read_text())
    assert {case["id"] for half in ("dev", "test") for case in result[half]["cases"]} <= chosen
    assert set(result["dev"]["summary"]) == set(VERDICTS)
    assert result["notes"]["supported"] >= 0.99
    assert result["notes"]["mended"] >= 0.95
    shown = capsys.readouterr().out
    assert re.search(r"^dev 的 \d+ 句.*^test 的 \d+ 句.*^笔记里的 \d+ 句原话", shown, re.MULTILINE | re.DOTALL)


def test_fitting_writes_a_weight_for_every_sign(tmp_path: Path) -> None:
    weights = tmp_path / "weights.json"
    assert main(["verify", "--fit", "--weights", str(weights), "--out", str(tmp_path)]) == 0
    found = json.loads(weights.read_text())["clause"]
    assert tuple(found) == SIGNS
    assert min(found["cosine"], found["terms"], found["clause_terms"]) > 0 > max(found["bias"], found["new_names"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"id": "v1"}', "缺字段或写错了"),
        ("{", "缺字段或写错了"),
        ('{"verdict": "maybe", "kind": "near"}', "verdict 要是 supported"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(tmp_path: Path, line: str, message: str) -> None:
    data = tmp_path / "data.jsonl"
    data.write_text("\n" + line, encoding="utf-8")
    with pytest.raises(UsageError, match=f"data.jsonl:2: .*{message}"):
        load_cases(data)


def test_a_missing_file_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "--data", str(tmp_path / "none.jsonl"), "--out", str(tmp_path)]) == 2
    assert "none.jsonl: 打不开" in capsys.readouterr().err
