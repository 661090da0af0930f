"""The commands of `python -m eval`: what they write, and one line with status 2 for what cannot be."""

import json
import re
from pathlib import Path

import pytest

from eval import commands
from eval.__main__ import main
from eval.queries import load_queries
from eval.results import COMMITTED, read_result
from rag.weights import COVER_SIGNS, SIGNS
from tests.conftest import CORPUS

QUERY = next(query for query in load_queries() if query.category == "near")


def write_queries(path: Path, **changes: object) -> Path:
    row = {"id": "n1", "text": QUERY.query.text, "category": "near", "relevant": list(QUERY.grades), "also": []}
    absent = {"id": "n2", "text": "", "category": "adversarial", "relevant": [], "also": []}
    rows = [{**row, "evidence": list(QUERY.evidence), **changes}, absent]
    path.write_text("\n".join(json.dumps({**one, "split": "test"}) for one in rows), encoding="utf-8")
    return path


def test_a_run_writes_a_file_and_prints_its_numbers(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queries = write_queries(tmp_path / "q.jsonl")
    assert main(["run", "--config", "bm25", "--queries", str(queries), "--out", str(tmp_path / "out")]) == 0
    (file,) = (tmp_path / "out").glob("bm25-*.json")
    records = read_result(file).records
    assert [record.id for record in records] == ["n1", "n2"]
    assert (records[1].abstained, records[1].ranking) == (True, ())
    assert "test 的 2 问（1 问笔记里有答案" in capsys.readouterr().out


def test_an_ablation_measures_every_configuration_and_can_be_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    queries = write_queries(tmp_path / "q.jsonl")
    before = COMMITTED.read_bytes() if COMMITTED.exists() else b""
    out = ["--out", str(tmp_path / "out")]
    assert main(["ablate", "--no-starter", "--queries", str(queries), *out]) == 0
    shown = re.findall(r"^\| `(\S+)`", capsys.readouterr().out, re.MULTILINE)
    assert shown == [*commands.CONFIGURATIONS] * 2
    assert (COMMITTED.read_bytes() if COMMITTED.exists() else b"") == before
    assert main(["report", *out]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "out" / "report.html")
    files = [next((tmp_path / "out").glob(f"{name}-??????*.json")) for name in ("bm25", "dense")]
    assert read_result(files[0]).records[0].ranking != read_result(files[1]).records[0].ranking
    assert main(["compare", *map(str, files)]) == 0
    assert "| nDCG@10（全部） | 1 |" in capsys.readouterr().out


def test_fitting_writes_a_weight_for_every_sign(tmp_path: Path) -> None:
    weights = tmp_path / "weights.json"
    assert main(["fit", "--weights", str(weights), "--out", str(tmp_path / "out")]) == 0
    found = json.loads(weights.read_text())
    assert (tuple(found["rank"]), tuple(found["cover"])) == (SIGNS, COVER_SIGNS)
    assert min(found["rank"].values()) >= 0 < found["cover"]["cosine"]
    assert found["cover"]["names"] < 0


def test_baselines_that_are_not_installed_are_left_out_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(commands.starter, "find_missing", lambda: "llama_index.core")
    queries = write_queries(tmp_path / "q.jsonl")
    bench = ["--queries", str(queries), "--out", str(tmp_path / "out"), "--corpus", str(CORPUS)]
    assert main(["ablate", *bench]) == 0
    captured = capsys.readouterr()
    assert captured.err.count("没有装 llama_index.core，LlamaIndex 的基线不跑") == 1
    assert "`llamaindex`" not in captured.out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "--queries", "nowhere.jsonl"], "nowhere.jsonl: 打不开"),
        (["run", "--corpus", "nowhere"], "nowhere: 没有这个文件或文件夹"),
        (["run", "--config", "nope"], "--config nope: 没有这个配置"),
        (["beir", "nowhere"], "nowhere/corpus.jsonl: 打不开"),
        (["beir", ".", "--config", "nope"], "--config nope: 没有这个配置"),
        (["compare", "a.json", "b.json"], "a.json: 打不开"),
        (["report", "--out", "nowhere"], "nowhere/ablation.json: 打不开"),
    ],
)
def test_what_cannot_be_done_is_said_in_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith(f"错误：{message}")
    assert not (tmp_path / "build").exists() or arguments[0] == "run"


def test_evidence_that_is_not_in_the_notes_stops_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    queries = write_queries(tmp_path / "q.jsonl", evidence=["笔记里没有的一句话"])
    assert main(["run", "--queries", str(queries), "--out", str(tmp_path / "out")]) == 2
    assert "n1 的 evidence “笔记里没有的一句话” 在笔记里找不到" in capsys.readouterr().err


def test_help_is_in_chinese_for_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    for command in commands.COMMANDS:
        with pytest.raises(SystemExit, match="0"):
            main([command.name, "--help"])
        shown = capsys.readouterr().out
        assert command.help.split("，")[0] in shown
