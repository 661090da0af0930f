"""The library tab: a table that filters and sorts, a reader, a map; alone and in a real browser."""

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from rag.live import LiveNotes
from rag.pipeline import Notes
from rag.types import Query
from tests.conftest import CORPUS
from tests.pages import browse, find_barriers, open_live, serve
from ui.library import Row, build_library_tab, list_rows, read_body
from ui.map import cluster, draw_map, project, spread
from ui.texts import ZH

HOSTILE = """# 77. 什么是 <img src=x onerror="document.title='pwned'"> ${document.title='pwned'} {{title}}？

<script>document.title='pwned'</script>正文[点我](javascript:document.title='pwned')说的是安全，写到足够长，免得算作很短，再加上几个字就够了，好的好的好的。
"""


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> LiveNotes:
    folder = tmp_path_factory.mktemp("corpus")
    shutil.copy(CORPUS / "transformer-bert.md", folder)
    (folder / "hostile.md").write_text(HOSTILE, encoding="utf-8")
    return open_live(folder, tmp_path_factory.mktemp("index"))


@pytest.fixture(scope="module")
def page(live: LiveNotes) -> Iterator[Page]:
    with serve(lambda: build_library_tab(live, ZH)) as address, browse() as page:
        page.goto(address)
        yield page


@pytest.fixture
def library(page: Page) -> Page:
    page.set_viewport_size({"width": 1280, "height": 900})
    page.reload()
    page.wait_for_selector("#library-page tbody tr")
    return page


@pytest.fixture
def rows(notes: Notes) -> dict[str, Row]:
    return {row.label: row for row in list_rows(notes, ZH)}


def shown(page: Page) -> list[str]:
    return page.locator("#library-page td.number").all_inner_texts()


def test_every_question_has_a_row_in_the_order_of_the_notes(notes: Notes, rows: dict[str, Row]) -> None:
    assert list(rows) == [question.label for question in notes.questions]
    assert (rows["Q4"].place, rows["Q29.1"].parent) == ("第 40–48 行", "Q29")


def test_flags_say_what_is_missing(rows: dict[str, Row]) -> None:
    assert rows["Q12"].flags == ("empty",)
    assert rows["Q31"].flags == ("picture",)
    assert "short" in rows["Q5"].flags
    assert rows["Q4"].flags == ()


def test_questions_that_say_the_same_name_each_other(rows: dict[str, Row]) -> None:
    assert (rows["Q29"].same, rows["Q30"].same) == (("Q30",), ("Q29",))
    assert [label for label, row in rows.items() if "same" in row.flags] == ["Q29", "Q30"]


def test_the_groups_are_those_an_answer_would_name(notes: Notes) -> None:
    groups = notes.group_same_content()
    ask = notes.ask(Query("第29题", generate=False)).text
    assert groups["transformer-bert:Q29"] == ["Q29", "Q30"]
    assert "[Q29][Q30]" in ask


def test_a_body_is_the_very_text_of_the_notes(notes: Notes) -> None:
    text = (CORPUS / "transformer-bert.md").read_text(encoding="utf-8")
    for question in notes.questions:
        assert read_body(notes, question) == text[question.body_start : question.end]


def test_the_map_has_one_point_for_each_outer_question_inside_its_borders(notes: Notes) -> None:
    drawn = draw_map(notes)
    assert [point.id for point in drawn.points] == [question.id for question in notes.questions if not question.parent]
    assert all(0 <= point.x <= 1 and 0 <= point.y <= 1 for point in drawn.points)
    assert all(drawn.topics)
    assert {point.topic for point in drawn.points} == set(range(len(drawn.topics)))


def test_the_map_puts_what_says_the_same_together_and_apart_enough_to_click(notes: Notes) -> None:
    at = {point.label: np.array([point.x, point.y]) for point in draw_map(notes).points}
    others = [float(np.linalg.norm(at["Q29"] - spot)) for label, spot in at.items() if label not in ("Q29", "Q30")]
    assert 0.01 < np.linalg.norm(at["Q29"] - at["Q30"]) < np.median(others)


def test_the_map_is_the_same_each_time(notes: Notes) -> None:
    assert draw_map(notes) == draw_map(notes)


def test_clusters_find_groups_that_lie_apart() -> None:
    rng = np.random.default_rng(1)
    middles = np.eye(3, 16, dtype=np.float32)
    vectors = np.repeat(middles, [12, 8, 5], axis=0) + rng.normal(0, 0.05, (25, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    assert cluster(vectors, 3).tolist() == [0] * 12 + [1] * 8 + [2] * 5


@pytest.mark.parametrize("n", [1, 2, 3])
def test_a_few_questions_have_a_map_too(n: int) -> None:
    vectors = np.eye(n, 8, dtype=np.float32)
    flat = spread(project(vectors, np.zeros(n, dtype=np.int64)))
    assert flat.shape == (n, 2)
    assert np.isfinite(flat).all()


def test_typing_filters_and_clearing_brings_all_back(library: Page) -> None:
    library.fill("#library-page input[type=search]", "ＬayerNorm batch")
    expect(library.locator("#library-page .count")).to_have_text("1 题，共 46 题")
    assert shown(library) == ["Q16"]
    library.click("#library-page button:has-text('清除条件')")
    assert len(shown(library)) == 46


def test_a_flag_and_a_file_filter(library: Page) -> None:
    library.click("[data-flag=same]")
    assert shown(library) == ["Q29", "Q30"]
    library.click("[data-flag=same]")
    library.select_option("#library-page select", label=library.locator("option:has-text('hostile')").inner_text())
    assert shown(library) == ["Q77"]


def test_headers_sort_both_ways(library: Page) -> None:
    library.click("th.h-chars button")
    sizes = [int(text) for text in library.locator("td.chars").all_inner_texts()]
    assert sizes == sorted(sizes)
    assert library.get_attribute("th.h-chars", "aria-sort") == "ascending"
    library.click("th.h-chars button")
    assert [int(text) for text in library.locator("td.chars").all_inner_texts()] == sizes[::-1]
    assert library.get_attribute("th.h-chars", "aria-sort") == "descending"


def test_a_question_opens_with_its_lines_and_leads_to_the_next(library: Page) -> None:
    library.click("button.opens[data-id$=':Q4']")
    expect(library.locator(".reader h2")).to_contain_text("为什么在进行softmax之前")
    expect(library.locator(".reader .whence")).to_contain_text("第 40–48 行")
    expect(library.locator(".reader .note")).to_contain_text("方差变为1")
    library.click(".reader button:has-text('下一题')")
    expect(library.locator(".reader h2")).to_contain_text("padding做mask")
    library.click(".reader button:has-text('上一题')")
    expect(library.locator(".reader h2")).to_contain_text("为什么在进行softmax之前")


def test_a_question_without_an_answer_says_so(library: Page) -> None:
    library.click("button.opens[data-id$=':Q12']")
    expect(library.locator(".reader .note")).to_have_text(ZH.no_text)


def test_the_keyboard_reaches_every_row(library: Page) -> None:
    library.focus("#library-page input[type=search]")
    library.keyboard.press("ArrowDown")
    library.keyboard.press("ArrowDown")
    library.keyboard.press("Enter")
    second = library.locator("button.opens").nth(1).inner_text()
    expect(library.locator(".reader h2")).to_contain_text(second)


def test_a_dot_tells_its_title_and_opens_by_mouse_and_by_keyboard(library: Page) -> None:
    library.click("[data-value=map]")
    library.wait_for_selector(".dot")
    assert library.locator(".dot").count() == 40
    dot = library.locator(".dot[data-id$=':Q16']")
    assert "LayerNorm" in (dot.locator("title").text_content() or "")
    dot.hover()
    expect(library.locator(".caption")).to_contain_text("Q16")
    dot.click()
    expect(library.locator(".reader h2")).to_contain_text("LayerNorm")
    dot.focus()
    library.keyboard.press("ArrowLeft")
    moved = library.evaluate("document.activeElement.dataset.id")
    assert not moved.endswith(":Q16")
    library.keyboard.press("Enter")
    expect(library.locator(".reader .qname")).to_have_text(moved.partition(":")[2])


def test_the_filter_dims_the_other_dots(library: Page) -> None:
    library.fill("#library-page input[type=search]", "Q16")
    library.click("[data-value=map]")
    library.wait_for_selector(".dot")
    assert library.locator(".dot:not(.dim)").count() == 1


def test_what_the_notes_say_runs_nowhere(library: Page) -> None:
    library.click("button.opens[data-id$=':Q77']")
    expect(library.locator(".reader .note")).to_contain_text("说的是安全")
    expect(library.locator(".reader h2")).to_contain_text("{{title}}")
    library.click("[data-value=map]")
    library.wait_for_selector(".dot")
    assert library.title() == "面经"
    assert library.locator("#library-page :is(script, [onerror], [href^=javascript])").count() == 0


def test_a_page_shows_the_new_notes_when_it_is_seen_again(library: Page, live: LiveNotes) -> None:
    folder = live.current.settings.corpus[0]
    (folder / "new.md").write_text("## 901. 什么是束搜索\n\n束搜索保留几个候选。\n", encoding="utf-8")
    live.refresh()
    library.evaluate("document.getElementById('library-page').style.display = 'none'")
    library.wait_for_timeout(100)
    library.evaluate("document.getElementById('library-page').style.display = ''")
    expect(library.locator("button.opens[data-id$=':Q901']")).to_have_count(1)
    (folder / "new.md").unlink()
    live.refresh()


def test_a_phone_reads_and_comes_back(library: Page) -> None:
    library.set_viewport_size({"width": 390, "height": 844})
    library.click("button.opens[data-id$=':Q4']")
    expect(library.locator(".reader h2")).to_be_visible()
    expect(library.locator(".table-box")).to_be_hidden()
    assert library.evaluate("document.documentElement.scrollWidth") <= 390
    library.click(".reader .back")
    expect(library.locator(".table-box")).to_be_visible()
    assert library.evaluate("document.activeElement.dataset.id").endswith(":Q4")


@pytest.mark.parametrize("view", ["list", "map"])
def test_no_barrier_is_serious(library: Page, view: str) -> None:
    library.click("button.opens[data-id$=':Q4']")
    library.wait_for_selector(".reader .note p")
    library.click(f"[data-value={view}]")
    if view == "map":
        library.wait_for_selector(".dot")
    assert find_barriers(library, "#library-page") == []
