"""How the app looks and is worked, in a real browser: what is drawn, on a phone, in the dark, by keyboard."""

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.ui_browser import ask, open_chat


def test_formulas_code_tables_and_pictures_are_drawn(page: Page) -> None:
    ask(page, "第78题")
    page.locator("#talk .chip").first.click()
    drawn = """() => [...document.querySelectorAll('#sources tex-math')].filter(formula => {
        const hidden = formula.shadowRoot?.querySelector('.katex-mathml');
        return hidden && getComputedStyle(hidden).position === 'absolute';
    }).length === 3"""
    page.wait_for_function(drawn)  # with KaTeX's own style, which hides the text it keeps for screen readers
    assert page.locator("#sources table td").all_inner_texts() == ["头数", "8"]
    assert page.evaluate("() => document.querySelector('#sources img').naturalWidth") == 1
    assert page.locator("#sources .picture-missing").all_inner_texts() == [
        "图片不在笔记文件夹里：没有的图 · ./img/none.png",
        "网上的图片，不自动下载：网上的图 · https://example.com/far.png",
        "图片不在笔记文件夹里：外面的图 · ../outside.png",
    ]
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.locator("#sources copy-code").get_by_role("button").click()
    page.get_by_role("button", name="复制好了").first.wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == 'print("你好")\n'


def test_a_phone_shows_everything_without_scrolling_sideways(browser: Browser, address: str) -> None:
    context = browser.new_context(viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True)
    page = context.new_page()
    open_chat(page, address)
    ask(page, "第78题")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    expect(page.locator("#sources")).not_to_be_in_viewport()
    page.locator("#talk .chip").first.tap()
    expect(page.locator("#sources .source h3")).to_be_in_viewport()
    page.locator("#sources .close").tap()
    expect(page.locator("#sources")).not_to_be_in_viewport()
    page.locator("[data-drawer=rail]").tap()
    expect(page.locator("#rail .fresh")).to_be_in_viewport()
    context.close()


@pytest.mark.parametrize(("width", "scheme"), [(1280, "light"), (1280, "dark"), (390, "light")])
def test_no_serious_fault_of_accessibility(browser: Browser, address: str, width: int, scheme: str) -> None:
    context = browser.new_context(
        viewport={"width": width, "height": 800},
        color_scheme=scheme,
        reduced_motion="reduce",  # type: ignore[arg-type]
    )
    page = context.new_page()
    open_chat(page, address)
    assert _faults(page) == []
    ask(page, "第78题")
    page.locator("#talk .chip").first.click()
    page.wait_for_selector("#sources .picture-missing")
    assert _faults(page) == []
    context.close()


def _faults(page: Page) -> list[str]:
    found = Axe().run(page).response["violations"]
    serious = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    return [f"{fault['id']}: {node['html'][:160]}" for fault in serious for node in fault["nodes"]]


def test_everything_is_reached_by_keyboard(page: Page) -> None:
    page.keyboard.type("为什么要除以根号dk")
    page.keyboard.press("Enter")
    page.wait_for_selector("#talk .exchange .tools")
    page.focus("#talk .chip")
    page.wait_for_selector("#preview:not([hidden])", state="attached")
    page.keyboard.press("Enter")
    page.wait_for_function("document.activeElement.id === 'sources'")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.className") == "chip"


def test_dark_follows_the_system_and_the_switch(browser: Browser, address: str) -> None:
    context = browser.new_context(color_scheme="dark")
    page = context.new_page()
    open_chat(page, address)
    background = "getComputedStyle(document.querySelector('#sources')).backgroundColor"
    assert page.evaluate(background) == "rgb(28, 32, 35)"
    page.click("[data-theme-switch]")
    assert page.evaluate(background) == "rgb(255, 255, 255)"
    page.reload()
    page.wait_for_selector("#talk [data-ready]")
    page.wait_for_function(f"{background} === 'rgb(255, 255, 255)'")
    context.close()
