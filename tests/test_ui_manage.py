"""The manage tab: notes in, away and back, by the page and by what others may send to it."""

import shutil
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from gradio.utils import get_upload_folder
from playwright.sync_api import Page, expect

from rag.errors import UsageError
from rag.live import LiveNotes
from rag.types import Query
from tests.conftest import CORPUS
from tests.pages import browse, find_barriers, open_live, serve
from ui.manage import Desk, Refreshing, build_manage_tab, find_upload
from ui.texts import ZH

BEAM = "## 901. 什么是束搜索\n\n束搜索每一步保留概率最高的几个候选，再从它们往下走。\n"


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveNotes]:
    folder = tmp_path_factory.mktemp("notes")
    shutil.copy(CORPUS / "transformer-bert.md", folder)
    live = open_live(folder, tmp_path_factory.mktemp("index"))
    yield live
    live.close()


@pytest.fixture(scope="module")
def folder(live: LiveNotes) -> Path:
    return live.current.settings.corpus[0]


@pytest.fixture(scope="module")
def address(live: LiveNotes) -> Iterator[str]:
    with serve(lambda: build_manage_tab(live, ZH, local=True)) as address:
        yield address


@pytest.fixture(scope="module")
def page(address: str) -> Iterator[Page]:
    with browse() as page:
        yield page


@pytest.fixture
def manage(page: Page, address: str, live: LiveNotes, folder: Path) -> Page:
    for path in folder.iterdir():
        if path.name != "transformer-bert.md":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    live.refresh()
    page.goto(address)
    page.wait_for_selector("#manage-page tbody tr")
    return page


def send(page: Page, name: str, content: str | bytes) -> None:
    data = content.encode() if isinstance(content, str) else content
    page.set_input_files("#notes-to-upload", {"name": name, "mimeType": "text/markdown", "buffer": data})


def told(page: Page) -> str:
    page.wait_for_selector(".note-box li")
    return page.locator(".note-box").inner_text()


def wait_for(page: Page, text: str) -> None:
    expect(page.locator(".note-box")).to_contain_text(text)


def post(address: str, function: str, argument: Any) -> httpx.Response:
    """Call a function of the tab as any program can."""
    config = httpx.get(f"{address}/config").json()
    (component,) = [one for one in config["components"] if one["props"].get("elem_id") == "manage-page"]
    body = {"data": argument, "component_id": component["id"], "fn_name": function, "session_hash": "x"}
    return httpx.post(f"{address}/gradio_api/component_server/", json=body)


def read_token(address: str) -> str:
    config = httpx.get(f"{address}/config").json()
    return next(
        one["props"]["props"]["token"] for one in config["components"] if one["props"].get("elem_id") == "manage-page"
    )


def test_an_uploaded_note_can_be_asked_about_and_what_changed_is_told(manage: Page, live: LiveNotes) -> None:
    assert live.current.ask(Query("什么是束搜索", generate=False)).abstained
    send(manage, "束搜索(新).md", BEAM)
    wait_for(manage, "束搜索(新).md：存好了")
    wait_for(manage, "新增 1 题（Q901）")
    assert live.current.ask(Query("什么是束搜索", generate=False)).citations[0].label == "Q901"
    expect(manage.locator("tbody tr:has-text('束搜索') td.questions")).to_have_text("1")


def test_a_deleted_note_is_gone_from_the_answers_and_comes_back(manage: Page, live: LiveNotes, folder: Path) -> None:
    send(manage, "beam.md", BEAM)
    wait_for(manage, "新增 1 题")
    manage.click("tbody tr:has-text('beam.md') button")
    wait_for(manage, "去掉 1 题（Q901）")
    assert live.current.ask(Query("什么是束搜索", generate=False)).abstained
    assert not (folder / "beam.md").exists()
    manage.click(".trash summary")
    manage.click(".trash button:has-text('恢复')")
    wait_for(manage, "新增 1 题（Q901）")
    assert not live.current.ask(Query("什么是束搜索", generate=False)).abstained
    assert (folder / "beam.md").read_text(encoding="utf-8") == BEAM


def test_a_name_that_is_taken_is_kept_beside_or_replaced_as_chosen(manage: Page, folder: Path) -> None:
    send(manage, "a.md", BEAM)
    wait_for(manage, "存好了")
    send(manage, "a.md", BEAM + "更多。")
    wait_for(manage, "这份存成了")
    assert (folder / "a-2.md").exists()
    send(manage, "b.md", BEAM)
    wait_for(manage, "内容一样，没有再存")
    manage.click("button:has-text('替换旧的')")
    send(manage, "a.md", BEAM + "换掉。")
    wait_for(manage, "旧的在回收站")
    assert (folder / "a.md").read_text(encoding="utf-8") == BEAM + "换掉。"


@pytest.mark.parametrize(
    ("name", "content", "line"),
    [
        ("x.exe", b"MZ\x90", "这种文件还不会读；能读的是 .md"),
        ("x.md", b"%PDF-1.4", "内容是PDF，和名字的后缀不符；没有存"),
        (".bashrc", b"x", "以点开头的是隐藏文件"),
        ("x.md", b"", "空文件"),
    ],
)
def test_what_is_no_note_is_refused_in_a_line(manage: Page, folder: Path, name: str, content: bytes, line: str) -> None:
    send(manage, name, content)
    wait_for(manage, line)
    assert [path.name for path in folder.iterdir()] == ["transformer-bert.md"]


def test_a_folder_of_this_machine_is_copied_in(manage: Page, folder: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "beam.md").write_text(BEAM, encoding="utf-8")
    manage.fill("#folder-to-copy", str(tmp_path / "mine"))
    manage.click("button:has-text('复制进来')")
    wait_for(manage, "新增 1 题（Q901）")
    assert (folder / "mine" / "beam.md").exists()


def test_a_name_runs_nowhere(manage: Page) -> None:
    send(
        manage,
        "<img src=x onerror=\"document.title='pwned'\">.md".replace("<", "＜").replace(">", "＞").replace('"', "'"),
        BEAM,
    )
    assert "存好了" in told(manage)
    send(manage, "<b onmouseover=x>.md", BEAM + "x")
    wait_for(manage, "不能用的字符（U+003C）")
    assert manage.locator("#manage-page :is(img, b)").count() == 0
    assert manage.title() == "面经"


def test_the_switch_watches_the_folder(manage: Page, live: LiveNotes) -> None:
    switch = manage.locator("[role=switch]")
    expect(switch).to_have_attribute("aria-checked", "false")
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "true")
    assert live.watching
    switch.click()
    expect(switch).to_have_attribute("aria-checked", "false")
    assert not live.watching


def test_a_file_that_cannot_be_read_is_shown_with_its_reason(manage: Page, live: LiveNotes, folder: Path) -> None:
    (folder / "broken.md").write_bytes(b"text\0more")
    manage.click("button:has-text('重新读一遍')")
    expect(manage.locator("tr:has-text('broken.md') .problem")).to_contain_text("不是文本")


def test_no_barrier_is_serious_and_a_phone_is_wide_enough(manage: Page) -> None:
    send(manage, "beam.md", BEAM)
    wait_for(manage, "读完了")
    manage.click("tbody tr:has-text('beam.md') button")
    wait_for(manage, "去掉 1 题")
    manage.click(".trash summary")
    assert find_barriers(manage, "#manage-page") == []
    manage.set_viewport_size({"width": 390, "height": 844})
    assert manage.evaluate("document.documentElement.scrollWidth") <= 390
    manage.set_viewport_size({"width": 1280, "height": 900})


@pytest.mark.parametrize("function", ["keep", "add_folder", "remove", "put_back", "watch", "read_again"])
def test_a_change_without_the_token_of_the_page_is_refused(address: str, folder: Path, function: str) -> None:
    for token in ("", "guess", None, 7):
        argument = {
            "token": token,
            "id": str(folder / "transformer-bert.md"),
            "folder": "/etc",
            "files": [],
            "on": True,
        }
        assert "页面过期了" in post(address, f"desk_{function}", argument).json()["error"]
    assert (folder / "transformer-bert.md").exists()


@pytest.mark.parametrize("path", ["/etc/hostname", "../../etc/hostname", "", "a\0b", "/"])
def test_only_an_upload_is_taken_as_one(address: str, path: str) -> None:
    argument = {"token": read_token(address), "files": [{"path": path, "name": "x.md"}]}
    assert "没有收到上传的文件" in post(address, "desk_keep", argument).json()["error"]


def test_an_upload_that_links_elsewhere_is_not_taken(tmp_path: Path) -> None:
    root = Path(get_upload_folder())
    root.mkdir(parents=True, exist_ok=True)
    link = root / f"link-{tmp_path.name}.md"
    link.symlink_to("/etc/hostname")
    try:
        with pytest.raises(UsageError, match="没有收到上传的文件"):
            find_upload(str(link))
    finally:
        link.unlink()


@pytest.mark.parametrize("name", ["/etc/hostname", "../transformer-bert.md", ".trash", ""])
def test_only_a_note_can_be_deleted(address: str, name: str) -> None:
    argument = {"token": read_token(address), "id": name}
    assert "笔记里没有这个文件" in post(address, "desk_remove", argument).json()["error"]
    assert "回收站里没有" in post(address, "desk_put_back", argument).json()["error"]


def test_without_leave_the_page_only_shows(live: LiveNotes, page: Page) -> None:
    with serve(lambda: build_manage_tab(live, ZH, allowed=False, local=True)) as address:
        assert read_token(address) == ""
        assert post(address, "desk_remove", {"token": "", "id": "x"}).status_code == 404
        page.goto(address)
        expect(page.locator("#manage-page tbody tr")).to_have_count(1)
        expect(page.locator("#manage-page")).to_contain_text("由管理员维护")
        assert page.locator("#manage-page :is(input, tbody button, [role=switch])").count() == 0


def test_a_page_of_another_machine_names_no_folder(live: LiveNotes, tmp_path: Path) -> None:
    desk = Desk(live, allowed=True, local=False)
    assert desk.show("")["local"] is False
    assert "/" not in desk.show("")["folder"]
    with pytest.raises(UsageError, match="只有在本机打开"):
        desk.add_folder({"folder": str(tmp_path)})


def test_notes_named_file_by_file_take_no_new_ones(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(BEAM, encoding="utf-8")
    desk = Desk(open_live(tmp_path / "a.md", tmp_path / "index"), allowed=True, local=True)
    assert desk.show("")["folder"] == ""
    with pytest.raises(UsageError, match="没有可以放新文件的文件夹"):
        desk.keep({"files": []})


def wait_until(is_done: Callable[[], bool]) -> None:
    waiting = threading.Event()
    for _ in range(500):
        if is_done() or waiting.wait(0.02):
            return
    raise AssertionError("it never came to be")


def test_a_wish_that_comes_while_notes_are_read_is_served_after(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text(BEAM, encoding="utf-8")
    live = open_live(tmp_path / "notes", tmp_path / "index")
    refreshing = Refreshing(live)
    for number in range(5):
        (tmp_path / "notes" / f"{number}.md").write_text(BEAM.replace("901", f"80{number}"), encoding="utf-8")
        refreshing.start()
    wait_until(lambda: not refreshing.running)
    assert len(live.current.questions) == 6


def test_notes_that_cannot_be_read_are_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.md").write_text(BEAM, encoding="utf-8")
    live = open_live(tmp_path / "notes", tmp_path / "index")
    desk = Desk(live, allowed=True, local=True)
    shutil.move(tmp_path / "notes", tmp_path / "elsewhere")
    desk.read_again({})
    wait_until(lambda: not desk.show("")["running"])
    assert "没有这个文件或文件夹" in desk.show("")["failed"]
