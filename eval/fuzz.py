"""Feed the program what no one writes: `python -m eval.fuzz --minutes 30`.

Every reader of what others wrote gets inputs mixed from the notes, from hostile fragments and from noise, as many as the
time allows. A crash is any error but the one line that reader promises, an answer that is not exact, or HTML that could
run. What crashed is printed with what repeats it; the exit status is 2 when anything did.
"""

import argparse
import hashlib
import io
import json
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from html.parser import HTMLParser
from pathlib import Path

from eval.noise import CORPUS, MANIFEST, make_lie, make_query, make_request, make_row, make_text, notes_text
from rag.chunk import chunk_document
from rag.config import Settings
from rag.errors import IndexFault, RagError, UsageError
from rag.index import CURRENT, open_index
from rag.parse import parse_document
from rag.pipeline import Notes, open_notes
from rag.records import read_batch, to_record
from rag.shell import EXIT_ANSWERED, EXIT_ERROR, guard, tell, write
from rag.terminal import format_answer
from rag.types import Document, Query
from rag.units import join_passages, split_units

ASKED = (Query("为什么要除以根号dk"), Query("第16题"), Query("BERT 和 GPT 有什么区别，另外 warm-up 是怎么做的"))
SHOWN_CHARS = 300
SLOW_S = 5.0
"""Of processor time: an input that takes longer is a crash too."""
HARMLESS = re.compile(r"(?:https?|mailto):", re.IGNORECASE)
TAGS = frozenset(
    "p br em strong s code pre copy-code tex-math ul ol li blockquote hr a span img h4 h5 h6 div table thead tbody tr th td "
    "mark sub sup".split()
)


class Broken(Exception):
    """A promise that an input broke."""


@dataclass(frozen=True, slots=True)
class Target:
    """A reader of what others wrote."""

    name: str
    make: Callable[[random.Random], object]
    use: Callable[..., object]
    """Takes what `make` makes; raises `Broken` or an error that `expected` does not name when a promise is broken."""
    expected: tuple[type[Exception], ...] = ()


@dataclass(frozen=True, slots=True)
class Tally:
    """What came of one target."""

    name: str
    n_inputs: int
    slowest_s: float
    """Of processor time."""
    crashes: tuple[str, ...]
    """Each kind once: the error, and what repeats it."""


def read_notes(text: str) -> None:
    """Parse, chunk and split notes; nothing may be lost or moved."""
    text = text.encode("utf-8", "replace").decode().replace("\r", "\n").replace("\f", " ")  # as `read_corpus` decodes
    document = Document("notes.md", "notes", text, "0")
    questions = parse_document(document)
    passages = chunk_document(document, questions, len, 200)
    for passage in passages:
        if document.text[passage.start : passage.end] != passage.text:
            raise Broken("a passage is no slice")
    for question in questions:
        own = [passage for passage in passages if passage.question == question.id]
        if not question.parent and "".join(passage.text for passage in own) != text[question.start : question.end]:
            raise Broken("the passages do not tile their question")
        for unit in split_units(question, join_passages(question, own)) if own else ():
            if not 0 <= unit.start <= unit.end <= len(unit.whole.text):
                raise Broken("a unit outside its question")


class _Page(HTMLParser):
    """Reads HTML as a browser does, and objects to what could run or fetch."""

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        """Look at a tag."""
        if tag not in TAGS:
            raise Broken(f"<{tag}>")
        for name, value in attrs:
            if (
                name.startswith("on")
                or name == "style"
                or (name in ("href", "src") and not HARMLESS.match(value or ""))
            ):
                raise Broken(f"{name}={value!r}")


def render(text: str) -> None:
    """Render Markdown; only harmless HTML may come out."""
    from ui.render import render_markdown

    page = render_markdown(text, [(3, 40)])
    _Page(convert_charrefs=True).feed(page)
    if page.count("<mark>") != page.count("</mark>"):
        raise Broken("a mark that does not close")


def read_files(folder: Path) -> dict[str, bytes]:
    """Read the current generation of an index."""
    place = folder / (folder / CURRENT).read_text(encoding="ascii").split(" ")[0]
    return {path.name: path.read_bytes() for path in sorted(place.iterdir())}


def write_sealed(folder: Path, files: Mapping[str, bytes]) -> None:
    """Write a generation whose checksums fit whatever its files hold."""
    place = folder / "gen-0001"
    place.mkdir(parents=True, exist_ok=True)
    manifest = json.loads(files[MANIFEST])
    manifest["checksums"] = {name: _digest(files[name]) for name in manifest["checksums"]}
    for name, data in {**files, MANIFEST: json.dumps(manifest).encode()}.items():
        (place / name).write_bytes(data)
    pointer = f"{place.name} {_digest((place / MANIFEST).read_bytes())}"
    (folder / CURRENT).write_text(f"{pointer} {_digest(pointer.encode())}\n", encoding="ascii")


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def list_targets(notes: Notes, folder: Path) -> Iterator[Target]:
    """List what is fuzzed; what is asked is asked of `notes`, and index files are written to `folder`."""
    from rag.server.faults import ApiFault
    from rag.server.openai_api import read_request, to_query

    def ask(query: Query) -> None:
        answer = notes.ask(query)
        for citation in answer.citations:
            if citation.quote not in notes_text():
                raise Broken("a quote that is not in the notes")
        json.dumps(to_record(answer), ensure_ascii=False, allow_nan=False)
        format_answer(answer, color=False).encode("utf-8", "replace")

    def ask_batch(row: str) -> None:
        for _, query in read_batch(io.StringIO(row), "batch"):
            notes.ask(query)

    def serve(body: bytes) -> None:
        notes.ask(to_query(read_request(body), "normal"))

    files = read_files(notes.settings.index)

    def open_lie(lie: Mapping[str, bytes]) -> None:
        write_sealed(folder, lie)
        own = replace(notes, index=open_index(folder))
        for query in ASKED:
            json.dumps(to_record(own.ask(query)), allow_nan=False)

    yield Target("index", lambda rng: make_lie(files, rng), open_lie, (IndexFault,))
    yield Target("parser", make_text, read_notes)
    yield Target("render", make_text, render)
    yield Target("ask", make_query, ask)
    yield Target("batch", make_row, ask_batch, (UsageError,))
    yield Target("serve", make_request, serve, (ApiFault,))


def try_target(target: Target, seconds: float, max_inputs: int, seed: int) -> Tally:
    """Feed one target until the time or the inputs are used up; input n of a seed is always the same."""
    deadline, n, slowest_s = time.monotonic() + seconds, 0, 0.0
    crashes: dict[str, str] = {}
    while n < max_inputs and time.monotonic() < deadline:
        made = target.make(random.Random(f"{target.name} {seed} {n}"))
        n += 1
        started = time.thread_time()
        fault = _find_fault(target, made)
        taken_s = time.thread_time() - started
        slowest_s = max(slowest_s, taken_s)
        if not fault and taken_s > SLOW_S:
            fault = "slow"
        if fault and fault not in crashes:
            crashes[fault] = f"{target.name}: {fault} (--seed {seed}, input {n - 1}): {made!r:.{SHOWN_CHARS}}"
    return Tally(target.name, n, slowest_s, tuple(crashes.values()))


def _find_fault(target: Target, made: object) -> str:
    """Name what goes wrong with an input, empty when nothing does."""
    try:
        target.use(made)
    except target.expected as error:
        return "several lines" if isinstance(error, RagError) and "\n" in str(error) else ""
    except Exception as error:  # whatever it is, it is what is looked for
        frame = error.__traceback__
        while frame and frame.tb_next:
            frame = frame.tb_next
        place = f"{Path(frame.tb_frame.f_code.co_filename).name}:{frame.tb_lineno}" if frame else ""
        return f"{type(error).__name__} at {place} {error if isinstance(error, Broken) else ''}".strip()
    return ""


def fuzz(targets: Sequence[Target], seconds: float, seed: int, max_inputs: int = 10**9) -> list[Tally]:
    """Feed all targets, each for its share of the time."""
    return [try_target(target, seconds / len(targets), max_inputs, seed) for target in targets]


def format_tallies(tallies: Sequence[Tally]) -> str:
    """Write a line for each target, and what crashed below them."""
    lines = [f"{'target':<8}{'inputs':>10}{'slowest':>12}{'crashes':>9}"]
    lines += [
        f"{one.name:<8}{one.n_inputs:>10,}{one.slowest_s * 1000:>9.1f} ms{len(one.crashes):>9}" for one in tallies
    ]
    return "\n".join([*lines, *(crash for one in tallies for crash in one.crashes)])


def run(arguments: list[str] | None) -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m eval.fuzz", description="用乱写的输入试每一个读别人内容的地方。")
    parser.add_argument("--minutes", type=float, default=5.0, metavar="N", help="试多久（默认 5 分钟）")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="从哪个种子开始（默认 1）")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        notes = open_notes(Settings(corpus=(CORPUS,), index=Path(folder) / "index"), tell)
        tallies = fuzz(list(list_targets(notes, Path(folder) / "lies")), options.minutes * 60, options.seed)
    write(format_tallies(tallies))
    return EXIT_ERROR if any(one.crashes for one in tallies) else EXIT_ANSWERED


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    return guard(run, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
