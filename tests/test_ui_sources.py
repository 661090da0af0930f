"""Sources and answers against the notes as they are now: what changed since is said, files beyond the notes stay shut."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rag.cite import hash_text
from rag.config import Settings
from rag.pipeline import Notes, open_notes
from rag.types import Answer, Citation
from ui.conversations import Exchange
from ui.locate import write_place
from ui.sources import SourceWriter
from ui.talk import TalkWriter, choose_examples, name_model
from ui.texts import EN, ZH

TEXT = "# 1. 甲是什么？\n\n甲是第一。\n甲也是头一个。\n\n# 2. 乙是什么？\n\n乙是第二。\n\n# 3. 丙是什么？\n"
Open = Callable[[str], Notes]


@pytest.fixture
def reopen(tmp_path: Path) -> Open:
    """Write the notes and open them."""

    def write(text: str) -> Notes:
        (tmp_path / "corpus").mkdir(exist_ok=True)
        (tmp_path / "corpus" / "a.md").write_text(text, encoding="utf-8")
        return open_notes(Settings(corpus=(tmp_path / "corpus",), index=tmp_path / "index"), lambda line: None)

    return write


def cite(notes: Notes, label: str, quote: str) -> Citation:
    question = next(question for question in notes.questions if question.label == label)
    return Citation(label, question.title, question.path, question.lines, quote, 1.0, hash_text(quote))


def answer(*citations: Citation) -> Answer:
    text = "".join(f"{one.quote} [{one.label}]" for one in citations)
    return Answer("问", text, abstained=False, mode="extractive", citations=citations)


def test_a_quote_is_marked_in_its_question(reopen: Open) -> None:
    notes = reopen(TEXT)
    page = SourceWriter(notes, ZH).answer(answer(cite(notes, "Q1", "甲也是头一个。")), 1)
    assert "<mark>甲也是头一个。</mark>" in page
    assert "<mark>甲是第一。</mark>" not in page


def test_a_quote_that_changed_since_is_said_to_be_stale(reopen: Open) -> None:
    cited = cite(reopen(TEXT), "Q2", "乙是第二。")
    notes = reopen(TEXT.replace("乙是第二", "乙是末位"))
    page = SourceWriter(notes, ZH).answer(answer(cited), 1)
    assert ZH.stale_note in page
    assert "乙是末位" in page
    assert "<blockquote>乙是第二。</blockquote>" in page
    talk = TalkWriter(notes, ZH).conversation([Exchange(1, "问", answer(cited))])
    assert f'data-stale="{ZH.stale}"' in talk


def test_a_quote_that_only_moved_is_found_where_it_is_now(reopen: Open) -> None:
    cited = cite(reopen(TEXT), "Q2", "乙是第二。")
    notes = reopen(TEXT.replace("# 2. 乙", "# 2. 新的一题？\n\n新的。\n\n# 5. 乙"))
    page = SourceWriter(notes, ZH).answer(answer(cited), 1)
    assert '<span class="label">Q5</span>' in page
    assert "<mark>乙是第二。</mark>" in page
    assert "data-stale" not in TalkWriter(notes, ZH).conversation([Exchange(1, "问", answer(cited))])


def test_a_quote_whose_digest_does_not_fit_is_stale(reopen: Open) -> None:
    notes = reopen(TEXT)
    forged = replace(cite(notes, "Q2", "乙是第二。"), digest="00")
    assert ZH.stale_note in SourceWriter(notes, ZH).answer(answer(forged), 1)


def test_a_question_that_is_gone_is_said_so(reopen: Open) -> None:
    cited = cite(reopen(TEXT), "Q3", "# 3. 丙是什么？")
    notes = reopen(TEXT.replace("# 3. 丙是什么？\n", ""))
    assert "现在的笔记里没有 Q3 了" in SourceWriter(notes, ZH).answer(answer(cited), 1)
    assert "现在的笔记里没有 Q9 了" in SourceWriter(notes, ZH).question("Q9")
    assert "现在的笔记里没有 Q9 了" in SourceWriter(notes, ZH).raw("Q9", 0)


def test_a_question_without_an_answer_says_so(reopen: Open) -> None:
    assert ZH.no_text in SourceWriter(reopen(TEXT), ZH).question("Q3")


def test_the_first_and_the_last_question_have_one_way_on(reopen: Open) -> None:
    writer = SourceWriter(reopen(TEXT), ZH)
    assert ZH.previous not in writer.question("Q1")
    assert ZH.following in writer.question("Q1")
    assert ZH.following not in writer.question("Q3")


def test_the_raw_file_is_numbered_and_escaped(reopen: Open) -> None:
    notes = reopen(TEXT + "\n<script>alert(1)</script>\n")
    page = SourceWriter(notes, ZH).raw("Q2", 0)
    assert '<tr class="cited"><th scope="row">8</th><td>乙是第二。</td></tr>' in page
    assert "<script>" not in page


def test_a_file_taken_away_is_said_to_be_gone(reopen: Open, tmp_path: Path) -> None:
    notes = reopen(TEXT)
    (tmp_path / "corpus" / "a.md").rename(tmp_path / "a.md")
    (tmp_path / "corpus" / "b.md").write_text("# 1. 别的\n")
    assert "现在的笔记里没有这个文件" in SourceWriter(notes, ZH).raw("Q1", 0)


def test_several_sources_are_chosen_from(reopen: Open) -> None:
    notes = reopen(TEXT)
    both = answer(cite(notes, "Q1", "甲是第一。"), cite(notes, "Q2", "乙是第二。"))
    page = SourceWriter(notes, ZH).answer(both, 7, "Q2")
    assert 'aria-pressed="true" data-act="cite" data-label="Q2" data-exchange="7"' in page
    assert "<mark>乙是第二。</mark>" in page


def test_an_answer_without_citations_says_so(reopen: Open) -> None:
    assert ZH.no_citations in SourceWriter(reopen(TEXT), ZH).answer(answer(), 1)


@pytest.mark.parametrize(
    ("unit", "lines", "zh", "en"),
    [
        ("line", (3, 3), "第 3 行", "Line 3"),
        ("line", (3, 5), "第 3–5 行", "Lines 3–5"),
        ("page", (2, 4), "第 2–4 页", "Pages 2–4"),
        ("cell", (7, 7), "第 7 格", "Cell 7"),
    ],
)
def test_a_place_is_named_by_what_it_counts(unit: str, lines: tuple[int, int], zh: str, en: str) -> None:
    citation = Citation("Q1", "", "a", lines, "", 1.0, unit=unit)  # type: ignore[arg-type]
    assert (write_place(citation, ZH), write_place(citation, EN)) == (zh, en)


def test_a_question_that_is_asked_is_escaped(reopen: Open) -> None:
    talk = TalkWriter(reopen(TEXT), ZH).conversation([Exchange(1, "<script>\"'", error="<b>坏了")])
    assert "<script>" not in talk
    assert "出错了：&lt;b&gt;坏了" in talk


def test_examples_come_from_the_notes(notes: Notes) -> None:
    titles = {question.title for question in notes.questions}
    examples = choose_examples(notes.questions)
    assert len(set(examples)) == 4
    assert set(examples) <= titles


@pytest.mark.parametrize(
    ("spec", "name"), [("openai:gpt-5", "gpt-5"), ("hf:Qwen/Qwen3-0.6B", "Qwen3-0.6B"), ("hf:/models/my", "my")]
)
def test_a_model_is_called_by_its_short_name(spec: str, name: str) -> None:
    assert name_model(spec) == name
