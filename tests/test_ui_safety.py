"""What the app keeps apart and keeps out, in a real browser: other readers, hostile notes, other machines and files."""

from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.ui_browser import ask, open_chat


def test_another_browser_sees_nothing_of_it(page: Page, browser: Browser, address: str) -> None:
    ask(page, "只有我知道的问题：BERT 的优缺点")
    other = browser.new_context()
    stranger = other.new_page()
    open_chat(stranger, address)
    stranger.wait_for_selector("#talk .welcome")
    assert stranger.locator("#rail li").count() == 0
    other.close()


def test_a_conversation_of_another_is_not_opened_by_its_name(page: Page, browser: Browser, address: str) -> None:
    ask(page, "BERT 的优缺点")
    name = page.get_attribute("#rail li .open", "data-conversation")
    other = browser.new_context()
    stranger = other.new_page()
    open_chat(stranger, address)
    ask(stranger, "为什么要除以根号dk")
    stranger.evaluate("name => { document.querySelector('#rail .open').dataset.conversation = name }", name)
    stranger.click("#rail .open")
    stranger.wait_for_selector("#talk .welcome")
    other.close()


def test_the_notes_stay_inert_in_every_panel(page: Page) -> None:
    ask(page, "第77题")
    page.locator("#talk .chip").first.click()
    page.wait_for_selector("#sources .source:has-text('正文说的是安全')")
    page.hover("#ask")
    page.locator("#talk .chip").first.hover()
    page.wait_for_selector("#preview:not([hidden])")
    ask(page, "<img src=x onerror=window.pwned=1> 第77题 {{1+1}} ${window.pwned=1}")
    page.click("#sources [data-act=raw]")
    page.wait_for_selector("#sources .raw .cited")
    page.wait_for_load_state("networkidle")
    assert page.evaluate("window.pwned") is None
    dangerous = ":is(script, iframe, style, object, embed, [onerror], [onload], [style])"
    found = "selector => [...document.querySelectorAll(selector)].map(node => node.outerHTML)"
    panels = ("#talk .exchange", "#sources .source", "#rail nav")
    assert page.evaluate(found, ", ".join(f"{panel} {dangerous}" for panel in panels)) == []
    assert page.locator("[href^='javascript' i], [src^='javascript' i]").count() == 0
    assert page.title() == "面经"


def test_no_request_leaves_the_machine(page: Page, address: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.reload()
    page.wait_for_selector("#talk [data-ready]")
    ask(page, "第78题")
    page.locator("#talk .chip").first.click()
    page.wait_for_selector("#sources img")
    page.wait_for_load_state("networkidle")
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert len(asked) > 10


def test_the_browser_itself_is_told_to_fetch_nothing_elsewhere(page: Page) -> None:
    blocked = "() => fetch('https://example.com').then(() => 'fetched', error => error.message)"
    said: list[str] = []
    page.on("console", lambda message: said.append(message.text))
    assert page.evaluate(blocked) != "fetched"
    assert any("Content Security Policy" in line for line in said)


@pytest.mark.parametrize("path", ["/etc/passwd", "corpus/transformer-bert.md", "https://example.com/x.png"])
def test_no_file_and_no_other_server_is_reached_through_the_app(address: str, folder: Path, path: str) -> None:
    wanted = path if path.startswith(("/", "http")) else folder / path
    for base in ("/gradio_api/file=", "/file=", "/gradio_api/proxy="):
        response = httpx.get(f"{address}{base}{wanted}")
        assert response.status_code in (403, 404)
