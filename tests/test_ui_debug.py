"""The debug tab, and the explanation behind it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from rag.explain import DENSE, LEXICAL, STAGES, explain, match_words
from rag.live import LiveNotes
from rag.pipeline import Notes
from rag.types import Query, Turn
from rag.weights import SIGNS, coverage_threshold
from tests.conftest import CORPUS
from tests.pages import browse, find_barriers, open_live, serve
from ui.debug import build_debug_tab
from ui.texts import EN, ZH

ROOT_OF_DK = "为什么要除以根号dk"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveNotes:
    return open_live(CORPUS, tmp_path_factory.mktemp("index"))


@pytest.fixture(scope="module")
def page(live: LiveNotes) -> Iterator[Page]:
    with serve(lambda: build_debug_tab(live, ZH)) as address, browse() as page:
        page.goto(address)
        yield page


@pytest.fixture
def debug(page: Page) -> Page:
    page.reload()
    page.wait_for_selector("#debug-page form")
    return page


def look_up(page: Page, text: str, before: str = "") -> None:
    page.fill("[name=before]", before)
    page.fill("[name=query]", text)
    page.press("[name=query]", "Enter")
    page.wait_for_selector(".outcome")


def test_an_explanation_ranks_as_the_search_does(notes: Notes) -> None:
    found, explained = notes.search(Query(ROOT_OF_DK)), explain(notes, Query(ROOT_OF_DK))
    (asked,) = explained.asked
    assert [(one.question.label, one.score) for one in asked.candidates] == [
        (hit.question.label, hit.score) for hit in found.hits
    ]
    assert (explained.coverage, explained.threshold) == (found.coverage, coverage_threshold())
    assert explained.covered


def test_the_weighed_signs_add_up_to_the_strength(notes: Notes) -> None:
    assert set(LEXICAL) | set(DENSE) | {"cited_before"} == set(SIGNS)
    for one in explain(notes, Query(ROOT_OF_DK)).asked[0].candidates:
        assert sum(sign.weighed for sign in one.signs) == pytest.approx(one.strength, abs=1e-3)
        assert one.lexical + one.dense == pytest.approx(one.strength, abs=1e-3)


def test_matched_words_and_concepts_are_named(notes: Notes) -> None:
    best = explain(notes, Query("层归一化和BN有什么不同")).asked[0].candidates[0]
    assert best.question.label == "Q16"
    assert {"BN", "归一化"} <= set(best.words)
    assert {"层归一化", "批归一化"} <= set(best.concepts)


@pytest.mark.parametrize(
    ("query", "text", "matched"),
    [
        ("为什么要除以根号dk", "除以dk的平方根", ("除以", "dk")),
        ("LayerNorm 的位置", "layer norm 放在哪个位置", ("LayerNorm", "位置")),
        ("束搜索", "完全无关", ()),
        ("为什么除以 dk", "这是为什么", ()),
    ],
)
def test_words_match_as_stretches_of_the_query(query: str, text: str, matched: tuple[str, ...]) -> None:
    assert match_words(query, text) == matched


def test_a_message_with_several_questions_is_explained_one_by_one(notes: Notes) -> None:
    explained = explain(notes, Query("为什么要除以根号dk？另外GPT和BERT有什么不同？"))
    assert [asked.candidates[0].question.label for asked in explained.asked] == ["Q4", "Q22"]


def test_a_follow_up_is_shown_as_it_was_completed(notes: Notes) -> None:
    history = (Turn("user", "LayerNorm 和 BatchNorm 的区别"), Turn("assistant", "见 [Q16]"))
    (asked,) = explain(notes, Query("它放在哪里", history)).asked
    assert asked.leans
    assert asked.text == "LayerNorm 和 BatchNorm 的区别 它放在哪里"
    assert dict((sign.name, sign.value) for sign in asked.candidates[0].signs)["cited_before"] == 1.0


def test_numbers_are_told_and_what_the_notes_lack(notes: Notes) -> None:
    explained = explain(notes, Query("第16题和第99题"))
    assert (explained.named, explained.missing, explained.asked) == (("Q16",), ("99",), ())
    assert explained.covered


def test_every_stage_has_a_time(notes: Notes) -> None:
    timings = explain(notes, Query(ROOT_OF_DK)).timings
    assert tuple(name for name, _ in timings) == STAGES
    assert all(ms >= 0 for _, ms in timings)


@pytest.mark.parametrize("text", ["", "   ", "？？"])
def test_nothing_to_look_for_is_no_fault(notes: Notes, text: str) -> None:
    explained = explain(notes, Query(text))
    assert (explained.asked, explained.covered) == ((), False)


def test_notes_without_questions_are_explained(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    empty = open_live(tmp_path / "notes", tmp_path / "index").current
    assert not explain(empty, Query(ROOT_OF_DK)).covered


def test_the_page_shows_bars_threshold_and_matched_words(debug: Page) -> None:
    look_up(debug, ROOT_OF_DK)
    expect(debug.locator(".outcome h2")).to_have_text("笔记里有")
    expect(debug.locator(".outcome .faint")).to_contain_text(f"门槛 {coverage_threshold():.2f}")
    first = debug.locator(".candidate").first
    expect(first.locator(".opens")).to_contain_text("Q4")
    assert first.locator(".match.word").all_inner_texts()[-1] == "dk"
    widths = [
        debug.evaluate("e => e.getBoundingClientRect().width", bar.element_handle())
        for bar in first.locator(".fill").all()
    ]
    assert len(widths) == 3
    assert min(widths) > 20
    assert debug.locator(".bar.time").count() == len(STAGES) - 1


def test_what_the_notes_do_not_cover_is_said(debug: Page) -> None:
    look_up(debug, "今天天气怎么样")
    expect(debug.locator(".outcome h2")).to_have_text("笔记里没有")


def test_mended_words_and_a_follow_up_are_told(debug: Page) -> None:
    look_up(debug, "那 LayerNrom 呢", before="BatchNorm 是什么")
    expect(debug.locator(".understood")).to_contain_text("接着上一问")
    expect(debug.locator(".understood")).to_contain_text("layernorm")


def test_terms_that_are_only_described_are_told(debug: Page) -> None:
    look_up(debug, "猜第二句话是不是紧跟着第一句话的那个训练任务，到底有没有用")
    expect(debug.locator(".understood")).to_contain_text("像是在问：NSP")


def test_a_query_runs_nowhere(debug: Page) -> None:
    look_up(
        debug,
        "<img src=x onerror=\"document.title='pwned'\"> ${document.title='pwned'} 除以根号dk？另外 <b>GPT 和 BERT 有什么不同",
    )
    debug.wait_for_timeout(200)
    assert debug.title() == "面经"
    assert debug.locator("#debug-page [onerror]").count() == 0


def test_no_barrier_is_serious_and_a_phone_is_wide_enough(debug: Page) -> None:
    look_up(debug, ROOT_OF_DK)
    debug.locator(".candidate summary").first.click()
    assert find_barriers(debug, "#debug-page") == []
    debug.set_viewport_size({"width": 390, "height": 844})
    assert debug.evaluate("document.documentElement.scrollWidth") <= 390
    debug.set_viewport_size({"width": 1280, "height": 900})


def test_both_languages_say_the_same_things() -> None:
    from ui import debug_texts, library_texts, manage_texts

    for module in (debug_texts, library_texts, manage_texts):
        assert module.WORDS[ZH.lang].keys() == module.WORDS[EN.lang].keys()
        for name, text in module.WORDS[ZH.lang].items():
            assert set(_holes(text)) == set(_holes(module.WORDS[EN.lang][name])), name


def _holes(text: str) -> list[str]:
    return [piece.partition("}")[0] for piece in text.split("{")[1:]]
