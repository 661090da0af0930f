"""Notes that are no Markdown, read, asked and cited like the others; broken files, and the process that reads them."""

import subprocess
import sys
from pathlib import Path

import pytest

from rag.adapters.readers import UnreadableFile, open_reader
from rag.config import Settings
from rag.corpus import corpus_digest, read_corpus
from rag.parse import parse_document
from rag.pipeline import Notes, open_notes
from rag.terminal import format_answer
from rag.types import Answer, Document, Query
from tests.office import CELLS, HTML, PDF, make_docx, make_notebook, make_pdf, paragraph, write_pdf
from tests.test_architecture import HEAVY

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Notes of every kind."""
    here = tmp_path_factory.mktemp("notes")
    write_pdf(here / "transformer.pdf", *PDF)
    (here / "word.docx").write_bytes(
        make_docx(paragraph("1. 什么是丢弃法？", "1"), paragraph("训练时随机关掉一些神经元，防止过拟合。"))
    )
    (here / "bag.html").write_text(HTML, encoding="utf-8")
    (here / "momentum.ipynb").write_text(make_notebook(CELLS), encoding="utf-8")
    (here / "plain.txt").write_text(
        "Q1：什么是困惑度？\n答：\f交叉熵的指数。\n\nQ2：什么是束搜索？\n答：每步留下几条最好的。\n", encoding="utf-8"
    )
    return here


@pytest.fixture(scope="module")
def documents(folder: Path) -> dict[str, Document]:
    reading = read_corpus([folder])
    assert reading.problems == ()
    return {document.stem: document for document in reading.documents}


@pytest.fixture(scope="module")
def mixed(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Notes:
    return open_notes(Settings(corpus=(folder,), index=tmp_path_factory.mktemp("index")), lambda line: None)


def ask(notes: Notes, text: str) -> Answer:
    return notes.ask(Query(text))


def test_an_answer_from_a_pdf_cites_its_page(mixed: Notes) -> None:
    answer = ask(mixed, "层归一化和批归一化有什么区别")
    assert {(citation.unit, citation.lines) for citation in answer.citations} == {("page", (2, 2))}
    assert "transformer.pdf 第 2 页" in format_answer(answer, color=False)


def test_a_question_over_a_page_break_stays_one_and_its_quotes_are_exact(
    mixed: Notes, documents: dict[str, Document]
) -> None:
    question = next(question for question in mixed.questions if question.title == "学习率预热有什么用？")
    assert question.lines == (2, 3)
    answer = ask(mixed, "学习率预热有什么用")
    assert all(citation.quote in documents["transformer"].text for citation in answer.citations)
    assert {page for citation in answer.citations for page in citation.lines} == {2, 3}
    assert "\f" not in format_answer(answer, color=False)


def test_an_answer_from_a_notebook_cites_its_cell(mixed: Notes) -> None:
    assert "momentum.ipynb 第 3 格" in format_answer(ask(mixed, "动量法解决什么问题"), color=False)


@pytest.mark.parametrize(
    ("text", "place"),
    [("什么是丢弃法", "word.docx:1-3"), ("什么是词袋模型", "bag.html:"), ("什么是困惑度", "plain.txt:")],
)
def test_an_answer_from_other_text_cites_lines(mixed: Notes, text: str, place: str) -> None:
    answer = ask(mixed, text)
    assert not answer.abstained
    assert place.partition(":")[0] + ":" in format_answer(answer, color=False)
    assert {citation.unit for citation in answer.citations} == {"line"}


def test_passages_of_every_kind_are_exact_slices_that_know_their_places(
    mixed: Notes, documents: dict[str, Document]
) -> None:
    of_path = {document.path: document for document in documents.values()}
    paths = {question.id: question.path for question in mixed.questions}
    for passage in mixed.index.content.passages:
        document = of_path[paths[passage.question]]
        border = "\n" if document.unit == "line" else "\f"
        start = passage.start + len(passage.text) - len(passage.text.lstrip())
        assert passage.text == document.text[passage.start : passage.end]
        assert passage.unit == document.unit
        assert passage.lines[0] == document.text.count(border, 0, start) + 1
        assert passage.lines[1] == passage.lines[0] + passage.text.strip().count(border)


def test_form_feeds_only_part_pages_and_cells(documents: dict[str, Document]) -> None:
    breaks = {stem: document.text.count("\f") for stem, document in documents.items()}
    assert breaks == {"transformer": 2, "word": 0, "bag": 0, "momentum": 2, "plain": 0}
    assert documents["transformer"].text.count("\n\f\n") == 2


def test_a_numbered_list_inside_an_answer_makes_no_questions(documents: dict[str, Document]) -> None:
    questions = parse_document(documents["transformer"])
    assert [question.label for question in questions] == ["Q1", "Q2", "Q3", "Q4"]


def test_broken_files_are_named_and_all_others_are_read(tmp_path: Path) -> None:
    write_pdf(tmp_path / "good.pdf", *PDF)
    (tmp_path / "cut.pdf").write_bytes(make_pdf(PDF)[:300])
    (tmp_path / "old.docx").write_bytes(b"\xd0\xcf\x11\xe0")
    (tmp_path / "bomb.docx").write_bytes(
        make_docx(paragraph("x"), doctype='<!DOCTYPE w [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]>')
    )
    (tmp_path / "deep.html").write_text("<div>" * 5000 + "<p>底</p>", encoding="utf-8")
    (tmp_path / "not.ipynb").write_text("[]", encoding="utf-8")
    (tmp_path / "~$good.docx").write_bytes(b"lock")
    reading = read_corpus([tmp_path])
    assert [document.stem for document in reading.documents] == ["good"]
    reasons = {Path(line.partition(":")[0]).name: line.partition(":")[2] for line in reading.problems}
    assert set(reasons) == {"cut.pdf", "old.docx", "bomb.docx", "deep.html", "not.ipynb"}
    assert "另存为 .docx" in reasons["old.docx"]
    assert "EntitiesForbidden" in reasons["bomb.docx"]
    assert "嵌套太深" in reasons["deep.html"]
    assert all("\n" not in line and "其余笔记照常可用" in line for line in reading.problems)


def test_a_file_that_takes_too_long_is_given_up(tmp_path: Path) -> None:
    file = write_pdf(tmp_path / "slow.pdf", *[("字" * 500,)] * 300)
    with open_reader(limit_s=0.05) as read, pytest.raises(UnreadableFile, match="0.05 秒还没有读完"):
        read(file, "slow")


def test_without_the_extra_a_file_is_named_with_the_command_and_others_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.md").write_text("# 1. 什么是注意力？\n\n权重。\n", encoding="utf-8")
    write_pdf(tmp_path / "b.pdf", ("没有读过的一页",))
    installed = corpus_digest([tmp_path])
    monkeypatch.setitem(sys.modules, "pypdf", None)
    reading = read_corpus([tmp_path])
    assert [document.stem for document in reading.documents] == ["a"]
    assert len(reading.problems) == 1
    assert "b.pdf" in reading.problems[0]
    assert "pip install '.[readers]'" in reading.problems[0]
    assert corpus_digest([tmp_path]) != installed  # so the file is read once the extra is there


def test_the_reading_process_can_neither_write_nor_connect(tmp_path: Path) -> None:
    script = (
        "import socket, subprocess, sys; from rag.adapters import extract\n"
        "sys.addaudithook(extract._forbid)\n"
        f"tries = [lambda: open({str(tmp_path / 'x')!r}, 'w'), lambda: socket.create_connection(('127.0.0.1', 9)),"
        " lambda: subprocess.run(['true'])]\n"
        "for one in tries:\n"
        "    try: one(); print('done')\n"
        "    except PermissionError: print('refused')\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert result.stdout.split() == ["refused"] * 3


def test_a_question_to_a_pdf_loads_nothing_heavy_here(folder: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from rag.ask import main\n"
        f"main(['--corpus', {str(folder)!r}, '--index', {str(tmp_path)!r}, '什么是多头注意力'])\n"
        f"print('LOADED', sorted(name for name in {HEAVY!r} if name in sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True)
    assert "transformer.pdf 第 1 页" in result.stdout
    assert result.stdout.splitlines()[-1] == "LOADED []"
