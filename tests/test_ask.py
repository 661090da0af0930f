"""The shell contract of `python -m rag.ask` and `python -m rag.ingest`, through real processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import CORPUS

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    assert run("rag.ingest", "--index", str(folder), "--corpus", str(CORPUS)).returncode == 0
    return folder


def run(module: str, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        input=stdin, capture_output=True, text=True, encoding="utf-8", cwd=ROOT, check=False,
        env={**os.environ, **environment},
    )  # fmt: skip


def ask(index: Path, *arguments: str, stdin: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return run("rag.ask", "--index", str(index), "--corpus", str(CORPUS), *arguments, stdin=stdin, **environment)


def test_a_question_is_answered_with_its_citation_file_and_lines(index: Path) -> None:
    result = ask(index, "为什么要除以根号dk")
    assert result.returncode == 0
    assert "[Q4]" in result.stdout
    assert "corpus/transformer-bert.md:44-48" in result.stdout
    assert result.stderr == ""


def test_json_holds_the_fields_of_the_contract_and_quotes_are_exact(index: Path) -> None:
    record = json.loads(ask(index, "--json", "BERT 和 GPT 有什么不同", "--top-k", "5").stdout)
    assert list(record) == ["query", "answer", "abstained", "mode", "citations", "ranking", "coverage", "elapsed_ms"]
    assert (record["abstained"], record["mode"], len(record["ranking"])) == (False, "extractive", 5)
    assert record["ranking"][0]["label"] == "Q22"
    lines = (CORPUS / "transformer-bert.md").read_text(encoding="utf-8").split("\n")
    for citation in record["citations"]:
        first, last = citation["lines"]
        assert citation["quote"] in "\n".join(lines[first - 1 : last])


def test_what_to_read_next_stands_below_the_sources(index: Path) -> None:
    printed = ask(index, "为什么要除以根号dk").stdout
    sources, related = printed.index("\n来源\n"), printed.index("\n相关题目\n")
    assert sources < related
    assert printed[related:].count("\n[Q") == 3
    assert "相关题目" not in ask(index, "今天股票涨了吗").stdout


def test_an_answer_is_as_long_as_asked_for(index: Path) -> None:
    short, normal, full = (
        json.loads(ask(index, "--json", *options, "BERT 是怎么做 mask 的").stdout)["answer"]
        for options in (["--length", "short"], [], ["--length", "full"])
    )
    assert len(short) < len(normal) < len(full)
    assert json.loads(ask(index, "--json", "BERT 是怎么做 mask 的", RAG_LENGTH="short").stdout)["answer"] == short


def test_each_row_of_a_batch_may_say_how_long(index: Path) -> None:
    rows = [{"text": "BERT 是怎么做 mask 的"}, {"text": "BERT 是怎么做 mask 的", "length": "full"}]
    result = ask(index, "--length", "short", "--batch", "-", stdin="\n".join(map(json.dumps, rows)))
    short, full = (json.loads(line)["answer"] for line in result.stdout.splitlines())
    assert len(short) < 350 < len(full)
    wrong = ask(index, "--batch", "-", stdin='{"text": "第16题", "length": "long"}')
    assert wrong.returncode == 2
    assert "short、normal、full" in wrong.stderr


def test_a_batch_answers_in_order_with_history(index: Path) -> None:
    history = [{"role": "user", "content": "BERT 为什么要用 mask？"}, {"role": "assistant", "content": "……"}]
    queries = [
        {"id": "a", "text": "第16题"},
        {"id": "b", "text": "那它是怎么做的呢", "history": history},
        {"id": "c", "text": "红烧肉怎么做"},
    ]
    result = ask(index, "--batch", "-", stdin="\n".join(json.dumps(query) for query in queries))
    records = [json.loads(line) for line in result.stdout.splitlines()]
    assert [record["id"] for record in records] == ["a", "b", "c"]
    assert records[0]["ranking"][0]["label"] == "Q16"
    assert records[1]["ranking"][0]["label"] in ("Q29", "Q30")
    assert [record["abstained"] for record in records] == [False, False, True]
    assert result.returncode == 0


def test_a_bad_line_of_a_batch_is_named(index: Path) -> None:
    result = ask(index, "--batch", "-", stdin='{"id": "a", "text": "第16题"}\n{"nonsense"\n')
    assert result.returncode == 2
    assert "-:2: 这一行读不懂" in result.stderr
    assert len(result.stdout.splitlines()) == 1


@pytest.mark.parametrize(
    ("question", "status", "words"),
    [
        ("第12题", 0, "还没有写答案"),
        ("第31题", 0, "只有图片"),
        ("第26题", 1, "没有第 26 题"),
        ("今天股票涨了吗", 1, "笔记里没有"),
        ("", 0, ""),
    ],
)
def test_what_the_notes_lack_is_said_plainly(index: Path, question: str, status: int, words: str) -> None:
    result = ask(index, *([question] if question else []))
    assert (result.returncode, result.stderr) == (status, "")
    assert words in result.stdout


def test_questions_with_the_same_text_are_cited_together(index: Path) -> None:
    answer = json.loads(ask(index, "--json", "BERT 模型为什么要用 mask").stdout)["answer"]
    assert "[Q29][Q30]" in answer


def test_without_a_question_it_is_a_chat_that_remembers(index: Path) -> None:
    result = ask(index, stdin="BERT 的优缺点\n/new\n第16题\n")
    assert result.returncode == 0
    assert "[Q36]" in result.stdout
    assert "[Q16]" in result.stdout


def test_output_is_utf_8_whatever_the_locale(index: Path) -> None:
    result = ask(index, "第5题", LC_ALL="C", PYTHONIOENCODING="ascii")
    assert "padding位置置为负无穷" in result.stdout


def test_a_closed_pipe_is_quiet(index: Path) -> None:
    command = f"{sys.executable} -m rag.ask --index {index} --corpus {CORPUS} 第3到5题 | head -n 1 >/dev/null"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, cwd=ROOT, check=False)
    assert result.stderr == ""


def test_ctrl_c_exits_as_shells_expect(index: Path) -> None:
    command = [sys.executable, "-m", "rag.ask", "--index", str(index), "--corpus", str(CORPUS), "--batch", "-"]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write('{"id": "a", "text": "第16题"}\n'.encode())
        process.stdin.flush()
        time.sleep(3)
        process.send_signal(signal.SIGINT)
        assert process.wait(10) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--top-k", "0", "问"], "--top-k"),
        (["--length", "long", "问"], "short、normal、full"),
        (["--batch", "/nowhere.jsonl"], "/nowhere.jsonl: 打不开"),
        (["--encoder", "./nowhere", "问"], "./nowhere: 没有这个文件夹"),
        (["--encoder", "api:m", "问"], "RAG_API_BASE"),
        (["--encoder", "someone/some-model", "问"], "三条出路"),
    ],
)
def test_bad_input_is_one_line_and_status_2(index: Path, arguments: list[str], words: str) -> None:
    result = ask(index, *arguments)
    assert result.returncode == 2
    assert words in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1


def test_a_damaged_index_is_named_rebuilt_and_answered_from(tmp_path: Path) -> None:
    assert ask(tmp_path, "第16题").returncode == 0
    file = next(tmp_path.glob("gen-*/passages.json"))
    data = bytearray(file.read_bytes())
    data[100] ^= 1
    file.write_bytes(bytes(data))
    result = ask(tmp_path, "第16题")
    assert "passages.json: 索引文件损坏" in result.stderr
    assert "[Q16]" in result.stdout
    assert ask(tmp_path, "第16题").stderr == ""


def test_an_index_that_cannot_be_saved_does_not_stop_the_answer(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    result = ask(tmp_path / "file" / "index", "第16题")
    assert "索引写不进去" in result.stderr
    assert "[Q16]" in result.stdout


def test_an_empty_corpus_is_one_line_and_the_index_stays(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    result = run("rag.ask", "--corpus", str(tmp_path / "empty"), "--index", str(tmp_path / "index"), "第16题")
    assert result.returncode == 2
    assert "没有找到笔记" in result.stderr.splitlines()[-1]


def test_an_unchanged_corpus_embeds_nothing_and_one_question_changed_embeds_that_alone(tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    notes.mkdir()
    text = (CORPUS / "transformer-bert.md").read_text(encoding="utf-8")
    (notes / "a.md").write_text(text, encoding="utf-8")
    arguments = [str(notes), "--index", str(tmp_path / "index")]
    assert "新增 39 题" in run("rag.ingest", *arguments).stdout
    again = run("rag.ingest", *arguments).stdout
    assert "笔记没有改动" in again
    assert "新编码 0 条" in again
    (notes / "a.md").write_text(text.replace("padding位置置为负无穷", "padding位置要置为负无穷"), encoding="utf-8")
    changed = run("rag.ingest", *arguments).stdout
    assert "改动 1 题：Q5" in changed
    assert "新编码 1 条" in changed
    (notes / "a.md").write_text(text[: text.index("38 手写")], encoding="utf-8")
    assert "删除 2 题：Q38、Q39" in run("rag.ingest", *arguments).stdout


def test_a_broken_file_among_good_ones_is_reported_and_the_good_are_served(tmp_path: Path) -> None:
    (tmp_path / "good.md").write_text("# 1. 什么是残差？\n\n把输入加到输出上。\n", encoding="utf-8")
    (tmp_path / "bad.md").write_bytes(b"\xff\xff\xff")
    arguments = ["--corpus", str(tmp_path), "--index", str(tmp_path / "index")]
    result = run("rag.ask", *arguments, "什么是残差")
    assert "bad.md: 读不了这个文件" in result.stderr
    assert "把输入加到输出上。 [Q1]" in result.stdout


def test_ingest_killed_at_any_instant_leaves_notes_that_answer(tmp_path: Path) -> None:
    for delay_s in (0.2, 0.4, 0.6, 0.8, 1.0, 1.3):
        command = [sys.executable, "-m", "rag.ingest", str(CORPUS), "--index", str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=ROOT) as ingest:
            time.sleep(delay_s)
            ingest.kill()
        assert "[Q16]" in ask(tmp_path, "第16题").stdout


def test_version_and_help_are_printed() -> None:
    assert run("rag.ask", "--version").stdout == "mianjing 0.1.0\n"
    assert "退出状态" in run("rag.ask", "--help").stdout
