"""The chat in a real browser, on a real server: asked, answered with sources, kept, changed and rated."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
from playwright.sync_api import Browser, Page, expect

from eval.queries import load_queries
from rag.config import Settings
from rag.live import LiveNotes
from tests.conftest import CORPUS
from tests.ui_browser import ROOT, ask, open_chat, serve_here
from ui.texts import EN, ZH


def test_a_question_is_answered_with_the_quoted_lines_marked_beside_it(page: Page) -> None:
    ask(page, "为什么要除以根号dk")
    chip = page.locator("#talk .chip", has_text="Q4").first
    assert chip.get_attribute("aria-label", timeout=1000) == "出处 Q4：" + str(chip.get_attribute("data-title"))
    chip.click()
    mark = page.locator("#sources mark", has_text="因此使用dk的平方根被用于缩放")
    expect(mark.first).to_be_in_viewport()
    assert "transformer-bert.md · 第 44–48 行" in page.inner_text("#sources .where")
    assert "答案解析参考这里" not in "".join(page.locator("#sources mark").all_inner_texts())


def test_a_long_source_is_scrolled_to_what_was_quoted(page: Page) -> None:
    ask(page, "训练日志里梯度裁剪的阈值为什么取 1.0")
    page.locator("#talk .chip", has_text="Q79").first.click()
    expect(page.locator("#sources mark", has_text="因为训练日志里出现过尖峰")).to_be_in_viewport()
    page.wait_for_function("document.querySelector('#sources').scrollTop > 300")


def test_an_answer_shows_its_first_source_by_itself(page: Page) -> None:
    ask(page, "为什么要除以根号dk")
    page.wait_for_selector("#sources .source .label:has-text('Q4')")


def test_the_next_question_knows_what_was_asked(page: Page) -> None:
    ask(page, "BERT 的优缺点")
    ask(page, "GPT 和它有什么不同")
    page.wait_for_selector("#sources .label:has-text('Q22')")
    assert page.locator("#talk .asked").count() == 2


def test_enter_while_an_input_method_composes_sends_nothing(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.post_data or "") if "/queue/join" in request.url else None)
    page.fill("#ask", "注意力 jizhi")
    compose = """([composing, code]) => {
        const box = document.querySelector('#ask');
        box.dispatchEvent(new CompositionEvent('compositionstart', {bubbles: true}));
        const key = new KeyboardEvent('keydown', {key: 'Enter', isComposing: composing, keyCode: code, bubbles: true, cancelable: true});
        box.dispatchEvent(key);
        return key.defaultPrevented;
    }"""
    assert page.evaluate(compose, [True, 13]) is False
    assert page.evaluate(compose, [False, 229]) is False  # Safari: the composition has just ended
    assert page.input_value("#ask") == "注意力 jizhi"
    assert not any("jizhi" in body for body in sent)
    page.press("#ask", "Shift+Enter")
    assert page.input_value("#ask") == "注意力 jizhi\n"
    page.press("#ask", "Enter")
    page.wait_for_selector("#talk .asked:has-text('注意力 jizhi')")
    assert any("jizhi" in body for body in sent)


def test_a_reload_keeps_the_conversation(page: Page) -> None:
    ask(page, "为什么要除以根号dk")
    page.reload()
    page.wait_for_selector("#talk .chip:has-text('Q4')")
    assert page.locator("#rail li[aria-current]").inner_text().strip() == "为什么要除以根号dk"


def test_a_conversation_is_renamed_exported_and_deleted(page: Page) -> None:
    ask(page, "为什么要除以根号dk")
    page.hover("#rail li")
    page.click("#rail [data-act=rename]")
    page.fill("#rail input.rename", "缩放那些事")
    page.press("#rail input.rename", "Enter")
    page.wait_for_selector("#rail .open:has-text('缩放那些事')")
    page.hover("#rail li")
    with page.expect_download() as download:
        page.click("#rail [data-act=export]")
    assert download.value.suggested_filename == "缩放那些事.md"
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text.startswith("# 缩放那些事\n\n## 为什么要除以根号dk\n")
    assert "transformer-bert.md` 第 44" in text
    page.click("#rail [data-act=delete]")
    page.click("#rail .sure")
    page.wait_for_selector("#talk .welcome")
    assert page.locator("#rail li").count() == 0


def test_the_length_is_chosen_and_remembered(page: Page) -> None:
    sizes = []
    for length in ("short", "full"):
        page.check(f"input[name=length][value={length}]", force=True)
        ask(page, "第24题")
        sizes.append(len(page.locator("#talk .exchange .prose").last.inner_text()))
    assert sizes[0] < sizes[1]
    page.reload()
    page.wait_for_selector("#talk .exchange")
    assert page.is_checked("input[name=length][value=full]")


def test_a_question_is_edited_and_what_came_after_it_is_gone(page: Page) -> None:
    ask(page, "BERT 的优缺点")
    ask(page, "为什么要除以根号dk")
    page.locator("#talk .asked").first.hover()
    page.locator("#talk [data-act=edit]").first.click()
    assert page.input_value("#ask") == "BERT 的优缺点"
    page.fill("#ask", "第16题")
    page.press("#ask", "Enter")
    page.wait_for_selector("#talk .prose:has-text('Q16')")
    assert page.locator("#talk .asked").all_text_contents() == ["你: 第16题"]


def test_an_answer_is_given_again_in_place_of_the_last(page: Page) -> None:
    ask(page, "BERT 的优缺点")
    first = page.get_attribute("#talk .exchange", "data-exchange")
    page.click("#talk [data-act=retry]")
    page.wait_for_function(
        "first => document.querySelector('#talk .exchange .tools') && document.querySelector('#talk .exchange').dataset.exchange !== first",
        arg=first,
    )
    assert page.locator("#talk .exchange").count() == 1


def test_the_file_opens_at_the_cited_lines(page: Page) -> None:
    ask(page, "为什么要除以根号dk")
    page.click("#sources [data-act=raw]")
    page.wait_for_selector("#sources .raw .cited")
    numbers = [int(text) for text in page.locator("#sources .cited th").all_inner_texts()]
    written = (CORPUS / "transformer-bert.md").read_text(encoding="utf-8").split("\n")
    assert page.locator("#sources .cited td").first.inner_text().strip() == written[numbers[0] - 1].strip()
    page.click("#sources [data-act=browse]")
    page.wait_for_selector("#sources .source .label:has-text('Q4')")
    page.click("#sources .step:has-text('下一题')")
    page.wait_for_selector("#sources .source .label:has-text('Q5')")


def test_ratings_are_kept_and_exported_as_candidates_for_the_evaluation(page: Page, folder: Path) -> None:
    ask(page, "为什么要除以根号dk")
    page.click("#talk [data-act=rate][data-liked='1']")
    page.wait_for_selector("#talk [aria-pressed=true]")
    ask(page, "BERT 的优缺点")
    page.locator("#talk [data-act=rate][data-liked='-1']").last.click()
    page.fill("#talk form.reason input", "漏了一半")
    page.press("#talk form.reason input", "Enter")
    page.wait_for_selector("#talk .thanks:has-text('漏了一半')")
    with page.expect_download() as download:
        page.click("[data-act=likes]")
    file = Path(download.value.path())
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [(row["text"], row["relevant"][:1], row.get("reason")) for row in rows] == [
        ("为什么要除以根号dk", ["Q4"], None), ("BERT 的优缺点", [], "漏了一半")
    ]  # fmt: skip
    assert [query.query.text for query in load_queries(file)] == ["为什么要除以根号dk", "BERT 的优缺点"]
    assert (folder / "data" / "feedback.jsonl").exists()


def test_one_endpoint_answers_programs(address: str) -> None:
    assert list(httpx.get(f"{address}/gradio_api/info").json()["named_endpoints"]) == ["/ask"]
    event = httpx.post(f"{address}/gradio_api/call/ask", json={"data": ["为什么要除以根号dk"]}).json()["event_id"]
    stream = httpx.get(f"{address}/gradio_api/call/ask/{event}", timeout=30).text
    answer = json.loads(next(line for line in stream.splitlines() if line.startswith("data: ")).removeprefix("data: "))
    assert answer[0]["citations"][0]["label"] == "Q4"


def test_a_restart_keeps_conversations_and_speaks_english_when_told(folder: Path, browser: Browser) -> None:
    settings = Settings(corpus=(folder / "corpus",), index=folder / "index", data=folder / "restarted")
    live = LiveNotes(settings, lambda line: None)
    context = browser.new_context()
    page = context.new_page()
    with serve_here(live, ZH) as address:
        open_chat(page, address)
        ask(page, "BERT 的优缺点")
    with serve_here(live, EN, port=int(address.rpartition(":")[2])) as address:
        open_chat(page, address)
        page.wait_for_selector("#talk .chip:has-text('Q36')")
        assert page.get_by_role("button", name="New chat").is_visible()
        assert page.evaluate("document.documentElement.lang") == "en"
    context.close()


def test_a_port_that_is_taken_is_one_line(address: str) -> None:
    port = address.rpartition(":")[2]
    command = [sys.executable, "-m", "ui", "--no-browser", "--port", port]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 2
    assert f"127.0.0.1:{port}: 这个端口用不了" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
