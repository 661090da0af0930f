"""The index on disk: whole or not at all, every byte checked, readers undisturbed."""

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rag.errors import IndexBusy, IndexFault
from rag.index import KEPT_GENERATIONS, IndexContent, lock_for_writing, open_index, write_generation
from rag.lexical import WordIndex
from rag.synonyms import Thesaurus
from rag.types import Passage, Question, Section
from rag.vectors import VectorIndex

WRITER = """
import sys
from pathlib import Path
from rag.index import lock_for_writing, write_generation
sys.path.insert(0, sys.argv[2])
from tests.test_index import make_content
print("ready", flush=True)
while True:
    with lock_for_writing(Path(sys.argv[1]), 5):
        write_generation(Path(sys.argv[1]), make_content(40))
"""
ROOT = Path(__file__).parent.parent


def make_content(n: int = 3, encoder: str = "test:1") -> IndexContent:
    section = Section("小节", 2, 2, 4)
    questions = tuple(
        Question(
            f"a:Q{i}",
            f"Q{i}",
            str(i),
            f"题{i}",
            f"{i}. 题{i}",
            "a.md",
            0,
            3,
            9,
            (1, 2),
            ("组",),
            "text",
            "",
            (section,),
        )
        for i in range(n)
    )
    passages = tuple(
        Passage(f"a:Q{i}#0", f"a:Q{i}", f"文{i}", 0, len(f"文{i}"), (1, 1), ("组", f"题{i}"), f"文{i}", f"d{i}")
        for i in range(n)
    )
    rng = np.random.default_rng(n)
    vectors = rng.normal(size=(2 * n, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    lexical = WordIndex.build(questions, passages, Thesaurus.from_groups([("甲", ["甲", "乙"])])).to_arrays()
    keys = tuple(f"k{i}" for i in range(2 * n))
    return IndexContent(
        questions, passages, VectorIndex.build(vectors), keys, lexical, encoder, "c", (("a.md", "d"),), ("坏文件",)
    )


def test_a_generation_reads_back_as_it_was_written(tmp_path: Path) -> None:
    content = make_content()
    write_generation(tmp_path, content)
    again = open_index(tmp_path, "test:1").content
    np.testing.assert_array_equal(again.vectors.all(), content.vectors.all())
    assert {name: array.tolist() for name, array in again.lexical.items()} == {
        name: array.tolist() for name, array in content.lexical.items()
    }
    plain = {"vectors": content.vectors, "lexical": content.lexical}
    assert replace(again, **plain) == content  # type: ignore[arg-type]


def test_a_flipped_byte_anywhere_is_detected_and_the_file_is_named(tmp_path: Path) -> None:
    place = write_generation(tmp_path, make_content())
    rng = random.Random(3)
    for file in [tmp_path / "CURRENT", *sorted(place.iterdir())]:
        good = file.read_bytes()
        for at in {0, len(good) - 1, *(rng.randrange(len(good)) for _ in range(12))}:
            bad = bytearray(good)
            bad[at] ^= 1 << rng.randrange(8)
            file.write_bytes(bytes(bad))
            with pytest.raises(IndexFault, match=rf"{file.name}: 索引"):
                open_index(tmp_path)
        file.write_bytes(good)
    open_index(tmp_path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    place = write_generation(tmp_path, make_content())
    (place / "passages.json").unlink()
    with pytest.raises(IndexFault, match=r"passages\.json: 索引缺了这个文件"):
        open_index(tmp_path)


def test_an_index_of_another_encoder_is_stale(tmp_path: Path) -> None:
    write_generation(tmp_path, make_content())
    with pytest.raises(IndexFault, match="另一个编码器"):
        open_index(tmp_path, "other:2")


def test_an_index_of_another_schema_is_stale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_generation(tmp_path, make_content())
    monkeypatch.setattr("rag.index.SCHEMA", 99)
    with pytest.raises(IndexFault, match="索引格式是第 4 版"):
        open_index(tmp_path)


def test_a_writer_killed_at_any_instant_leaves_a_whole_generation(tmp_path: Path) -> None:
    write_generation(tmp_path, make_content())
    rng = random.Random(5)
    for _ in range(50):
        command = [sys.executable, "-c", WRITER, str(tmp_path), str(ROOT)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as writer:
            assert writer.stdout is not None
            writer.stdout.readline()
            time.sleep(rng.random() * 0.05)
            writer.send_signal(signal.SIGKILL)
        assert len(open_index(tmp_path).content.questions) in (3, 40)
    with lock_for_writing(tmp_path, 1):
        write_generation(tmp_path, make_content())
    assert not list(tmp_path.glob("*.partial"))
    assert len(list(tmp_path.glob("gen-*"))) <= KEPT_GENERATIONS


def test_readers_never_fail_while_a_writer_writes(tmp_path: Path) -> None:
    write_generation(tmp_path, make_content())
    failures: list[Exception] = []
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            try:
                open_index(tmp_path)
            except IndexFault as fault:
                failures.append(fault)

    reader = threading.Thread(target=read)
    reader.start()
    for n in range(3, 33):
        write_generation(tmp_path, make_content(n))
    done.set()
    reader.join()
    assert not failures


def test_a_second_writer_is_told_that_the_first_is_at_work(tmp_path: Path) -> None:
    with (
        lock_for_writing(tmp_path, 1),
        pytest.raises(IndexBusy, match="另一个进程正在更新索引"),
        lock_for_writing(tmp_path, 0.1),
    ):
        pass


def _fill_disk(folder: Path) -> None:
    import resource

    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, 200))


def test_a_full_disk_is_one_clear_line_and_the_former_generation_stays(tmp_path: Path) -> None:
    write_generation(tmp_path, make_content())
    script = (
        "import sys; from pathlib import Path; from rag.errors import IndexFault; from rag.index import write_generation\n"
        "from tests.test_index import make_content, _fill_disk\n"
        "_fill_disk(Path())\n"
        "try: write_generation(Path(sys.argv[1]), make_content(40))\n"
        "except IndexFault as fault: sys.exit(str(fault))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    result = subprocess.run(
        [sys.executable, "-c", script, str(tmp_path)], capture_output=True, text=True, env=environment, check=False
    )
    assert "索引写不进去" in result.stderr
    assert "--index" in result.stderr
    assert len(open_index(tmp_path).content.questions) == 3
    assert not list(tmp_path.glob("*.partial"))


@pytest.mark.parametrize(
    "act",
    [lambda folder: write_generation(folder, make_content()), lambda folder: lock_for_writing(folder, 0).__enter__()],
)
def test_a_folder_that_cannot_be_written_is_one_clear_line(tmp_path: Path, act: Callable[[Path], object]) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(IndexFault, match="索引写不进去"):
        act(tmp_path / "file" / "index")


def test_the_arrays_of_an_open_index_lie_in_its_file(tmp_path: Path) -> None:
    write_generation(tmp_path, make_content())
    lexical = open_index(tmp_path).content.lexical
    assert lexical
    assert not any(array.flags.owndata or array.flags.writeable for array in lexical.values())
