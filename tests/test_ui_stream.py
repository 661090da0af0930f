"""Answers that take long: they grow on the page, are stopped, outlive a reload, and keep nobody waiting."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from types import SimpleNamespace

import pytest
from playwright.sync_api import Browser, Page

from rag.config import Settings
from rag.pipeline import Notes, open_notes
from rag.types import Answer, Check, Query, Reply
from tests.conftest import CORPUS
from tests.ui_browser import open_chat, serve_here

WAIT_S = 30


class SlowNotes(Notes):
    """Notes whose answer to `慢…` is written by a hand that waits to be told; anything else is answered as ever."""

    gate = threading.Event()
    closed = threading.Event()

    def stream(self, query: Query) -> Reply:
        if not query.text.startswith("慢"):
            yield from super().stream(query)
            return
        try:
            yield "先写一句。[Q4]"
            self.gate.wait(WAIT_S)
            yield "再写一句。"
            checks = (
                Check("先写一句。", ("Q4",), "supported"),
                Check("再写一句。", ("Q5",), "partly", "只有一半在笔记里"),
                Check("又一句。", (), "unsupported", "没有出处"),
            )
            yield Answer(
                query.text, "先写一句。[Q4]再写一句。", abstained=False, mode="generated", checks=checks,
                model="openai:org/qwen", notice="模型答得慢",
            )  # fmt: skip
        finally:
            self.closed.set()


@dataclass
class Site:
    address: str
    notes: SlowNotes


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("slow")
    settings = Settings(corpus=(CORPUS,), index=folder / "index", data=folder / "data")
    opened = open_notes(settings, lambda line: None)
    notes = SlowNotes(opened.index, opened.encoder, replace(settings, llm="openai:org/qwen"))
    live = SimpleNamespace(current=notes)
    with serve_here(live) as address:  # type: ignore[arg-type]
        yield Site(address, notes)


@pytest.fixture
def page(browser: Browser, site: Site) -> Iterator[Page]:
    site.notes.gate.clear()
    site.notes.closed.clear()
    context = browser.new_context()
    page = context.new_page()
    open_chat(page, site.address)
    yield page
    site.notes.gate.set()
    context.close()


def begin(page: Page, text: str) -> None:
    page.fill("#ask", text)
    page.press("#ask", "Enter")
    page.wait_for_selector("#growing .prose:has-text('先写一句')")


def test_an_answer_is_seen_while_it_grows(page: Page, site: Site) -> None:
    begin(page, "慢慢写")
    assert page.locator("#growing .chip").all_inner_texts() == ["Q4"]
    assert page.locator(".stop").is_visible()
    site.notes.gate.set()
    page.wait_for_selector("#talk .prose:has-text('再写一句')")
    assert page.locator("#growing .exchange").count() == 0
    assert page.inner_text("#talk .meta").startswith("qwen 根据笔记写的")
    assert page.inner_text("#talk .notice") == "模型答得慢"


def test_an_answer_that_is_stopped_keeps_what_was_written(page: Page, site: Site) -> None:
    begin(page, "慢慢写，停")
    page.click(".stop")
    page.wait_for_selector("#talk .notice:has-text('停下了')")
    assert page.inner_text("#talk .prose") == "先写一句。Q4"
    site.notes.gate.set()
    assert site.notes.closed.wait(WAIT_S)
    page.reload()
    page.wait_for_selector("#talk .notice:has-text('停下了')")
    assert page.inner_text("#talk .prose") == "先写一句。Q4"


def test_a_reload_goes_on_showing_an_answer_that_is_being_written(page: Page, site: Site) -> None:
    begin(page, "慢慢写，重开")
    page.reload()
    page.wait_for_selector("#growing .prose:has-text('先写一句')")
    site.notes.gate.set()
    page.wait_for_selector("#talk .prose:has-text('再写一句')")


def test_a_long_answer_keeps_nobody_else_waiting(page: Page, browser: Browser, site: Site) -> None:
    begin(page, "慢慢写，别人先")
    other = browser.new_context()
    quick = other.new_page()
    open_chat(quick, site.address)
    quick.fill("#ask", "为什么要除以根号dk")
    quick.press("#ask", "Enter")
    quick.wait_for_selector("#talk .chip:has-text('Q4')")
    assert page.locator("#growing .prose").is_visible()
    other.close()


def test_each_sentence_of_a_written_answer_has_its_verdict(page: Page, site: Site) -> None:
    site.notes.gate.set()
    page.fill("#ask", "慢慢写，核对")
    page.press("#ask", "Enter")
    page.wait_for_selector("#talk .checks")
    assert page.inner_text("#talk .checks") == "逐句核对：1 句有依据，1 句部分有依据，1 句没有依据"
    page.click("#talk .checks")
    page.wait_for_selector("#sources .verdicts")
    assert page.locator("#sources .verdict").all_inner_texts() == ["支持", "部分", "无依据"]
    assert page.locator("#sources .reason").all_inner_texts() == ["只有一半在笔记里", "没有出处"]


def test_the_reader_chooses_between_quotes_and_the_model(page: Page) -> None:
    assert page.locator("input[name=mode] + span").all_inner_texts() == ["摘录原文", "生成（qwen）"]
    assert page.is_checked("input[name=mode][value=write]")
