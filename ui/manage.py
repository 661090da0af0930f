"""The manage tab: put notes in, take them away and back, and see what that changed."""

import hmac
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradio.utils import get_upload_folder

from rag.build import BuildReport
from rag.corpus import ENDINGS, MAX_BYTES, cite_path, find_files
from rag.errors import CorpusError, RagError, UsageError
from rag.live import LiveNotes
from ui.imports import import_folder
from ui.manage_texts import WORDS
from ui.page import Reply, ServerFunction, answer_errors, build_page
from ui.texts import Texts
from ui.trash import list_trash, move_to_trash, restore
from ui.uploads import Stored, store

WATCH_INTERVAL_S = 3.0
MAX_FILES_AT_ONCE = 200


@dataclass(slots=True)
class Refreshing:
    """Reads the notes again in a thread of its own, one at a time; a wish that comes meanwhile is served after it."""

    live: LiveNotes
    done: int = 0
    total: int = 0
    report: BuildReport | None = None
    error: str = ""
    _running: bool = False
    _again: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def running(self) -> bool:
        """Whether the notes are being read."""
        return self._running

    def start(self) -> None:
        """Read the notes again soon."""
        with self._lock:
            self._again = self._running
            if self._running:
                return
            self._running = True
        self.done = self.total = 0
        threading.Thread(target=self._run, name="refresh-notes", daemon=True).start()

    def _run(self) -> None:
        self.report, self.error = None, ""
        try:
            self.report = self.live.refresh(self._count)
        except RagError as error:
            self.error = str(error)
        finally:  # a fault of the program ends the thread, and must not leave the page waiting
            with self._lock:
                self._running, again = False, self._again
                self._again = False
            if again:
                self.start()

    def _count(self, done: int, total: int) -> None:
        self.done, self.total = done, total


def describe_report(report: BuildReport) -> Reply:
    """Write what an ingest did, for the page."""
    return {
        "added": report.added,
        "changed": report.changed,
        "removed": report.removed,
        "questions": report.n_questions,
        "problems": report.problems,
        "seconds": round(report.elapsed_s, 1),
    }


class Desk:
    """What the page may ask for."""

    def __init__(self, live: LiveNotes, *, allowed: bool, local: bool) -> None:
        self._live, self._allowed, self._local = live, allowed, local
        self._refreshing = Refreshing(live)

    @property
    def _paths(self) -> tuple[Path, ...]:
        return self._live.current.settings.corpus

    @property
    def folder(self) -> Path | None:
        """The folder that takes new notes, or None where the notes are named file by file."""
        return next((path for path in self._paths if path.is_dir() or not path.exists()), None)

    def show(self, _: Any) -> Reply:
        """Describe the notes' files, the trash and what is going on."""
        job = self._refreshing
        return {
            "allowed": self._allowed,
            "local": self._local and self.folder is not None,
            "folder": (str(self.folder) if self._local else self.folder.name) if self.folder else "",
            "files": self._list_files(),
            "trash": [
                {"id": one.id, "name": one.path.name, "home": cite_path(one.home), "when": one.when, "size": one.size}
                for one in list_trash(self._paths)
            ]
            if self._allowed
            else [],
            "watching": self._live.watching,
            "running": job.running,
            "done": job.done,
            "total": job.total,
            "report": describe_report(job.report) if job.report else None,
            "failed": job.error,
        }

    def _list_files(self) -> list[Reply]:
        content = self._live.current.index.content
        counts = Counter(question.path for question in content.questions if not question.parent)
        known = {path for path, _ in content.documents}
        files = []
        for file in find_files([path for path in self._paths if path.exists()]):
            name = cite_path(file)
            status = file.stat()
            files.append(
                {
                    "id": name,
                    "questions": counts[name],
                    "size": status.st_size,
                    "changed": time.strftime("%Y-%m-%d %H:%M", time.localtime(status.st_mtime)),
                    "read": name in known,
                    "problem": next((line for line in content.problems if line.startswith(f"{name}: ")), ""),
                }
            )
        return files

    def keep(self, asked: Any) -> Reply:
        """Store files that were uploaded."""
        folder = self._need_folder()
        wanted = asked.get("files")
        if not isinstance(wanted, list) or len(wanted) > MAX_FILES_AT_ONCE:
            raise UsageError(f"一次最多传 {MAX_FILES_AT_ONCE} 个文件；分几次传")
        stored, problems = [], []
        for one in wanted:
            upload = find_upload(str(one.get("path", "")))
            try:
                stored.append(store(folder, str(one.get("name", "")), upload, replace=bool(asked.get("replace"))))
            except RagError as error:
                problems.append(str(error))
            finally:
                upload.unlink(missing_ok=True)
        return self._report(stored, problems)

    def add_folder(self, asked: Any) -> Reply:
        """Copy a folder of this machine into the notes."""
        if not self._local:
            raise UsageError("只有在本机打开、又不用登录时才能指定文件夹；改用上传")
        done = import_folder(Path(str(asked.get("folder", "")).strip()), self._need_folder())
        return {**self._report(done.stored, done.problems), "pictures": done.n_pictures}

    def _report(self, stored: Sequence[Stored], problems: Sequence[str]) -> Reply:
        if any(one.outcome != "same" for one in stored):
            self._refreshing.start()
        told = [{"name": one.name, "outcome": one.outcome, "path": cite_path(one.path)} for one in stored]
        return {"stored": told, "problems": list(problems)}

    def remove(self, asked: Any) -> Reply:
        """Move a file of the notes into the trash."""
        name = str(asked.get("id", ""))
        file = next((file for file in find_files(self._paths) if cite_path(file) == name), None)
        if file is None:
            raise CorpusError(f"{name}: 笔记里没有这个文件，可能已经删了")
        trashed = move_to_trash(file)
        self._refreshing.start()
        return {"trashed": trashed.id}

    def put_back(self, asked: Any) -> Reply:
        """Restore a file from the trash."""
        trashed = next((one for one in list_trash(self._paths) if one.id == asked.get("id")), None)
        if trashed is None:
            raise CorpusError(f"{asked.get('id')}: 回收站里没有这个文件")
        home = restore(trashed)
        self._refreshing.start()
        return {"restored": cite_path(home)}

    def watch(self, asked: Any) -> Reply:
        """Look for changes by itself, or stop."""
        if asked.get("on"):
            self._live.watch(WATCH_INTERVAL_S)
        else:
            self._live.close()
        return {"watching": self._live.watching}

    def read_again(self, _: Any) -> Reply:
        """Read the notes again."""
        self._refreshing.start()
        return {}

    def _need_folder(self) -> Path:
        if self.folder is None:
            raise UsageError("笔记是一个一个文件指定的，没有可以放新文件的文件夹；用 --corpus 指到一个文件夹再打开")
        return self.folder


def find_upload(path: str) -> Path:
    """Find a file that the browser has just uploaded; no other file of the machine is touched.

    :raises UsageError: when there is none.
    """
    root = Path(get_upload_folder()).resolve()
    if path and "\0" not in path:
        upload = Path(path)
        if upload.resolve().is_relative_to(root) and upload.is_file() and not upload.is_symlink():
            return upload
    raise UsageError("没有收到上传的文件；再传一次")


def build_manage_tab(live: LiveNotes, texts: Texts, *, allowed: bool = True, local: bool = False) -> None:
    """Fill the tab.

    :param allowed: whether the notes may be changed from the page; all users see the same notes.
    :param local: whether the page is this machine's own, without a login: then a folder of it may be named.
    """
    token = secrets.token_urlsafe(24)
    desk = Desk(live, allowed=allowed, local=local and allowed)

    def need_token(function: Callable[[Any], Reply]) -> ServerFunction:
        """Take a change only from our own page: another site's page may send it here too, but cannot read the token."""

        def checked(argument: Any) -> Reply:
            given = str(argument.get("token", "")) if isinstance(argument, dict) else ""
            if not hmac.compare_digest(given.encode(), token.encode()):
                raise UsageError("页面过期了；刷新一下再试")
            return function(argument)

        checked.__name__ = f"desk_{function.__name__}"
        return answer_errors(checked)

    def show_desk(argument: Any) -> Reply:
        return desk.show(argument)

    changes = [desk.keep, desk.add_folder, desk.remove, desk.put_back, desk.watch, desk.read_again] if allowed else []
    build_page(
        "manage",
        WORDS[texts.lang],
        [answer_errors(show_desk), *(need_token(change) for change in changes)],
        token=token if allowed else "",
        limits={"bytes": MAX_BYTES, "files": MAX_FILES_AT_ONCE, "endings": list(ENDINGS)},
    )
