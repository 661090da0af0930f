"""Keep the notes open for long: `python -m eval.soak --minutes 30`.

Threads ask while the notes are changed, read again and switched, by this process and by another, over and over. Memory
is looked at after every switch: what it is once warm against what it is at the end. The exit status is 2 when anything
went wrong or memory grew.
"""

import argparse
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

from eval.queries import OWN, load_queries
from rag.config import Settings
from rag.live import LiveNotes
from rag.shell import EXIT_ANSWERED, EXIT_ERROR, guard, tell, write
from rag.types import Query

CORPUS = Path(__file__).parent.parent / "corpus"
N_THREADS = 2
WARM_SHARE = 1 / 3
"""Of the time, in which caches fill."""
MAX_GROWTH = 0.05
N_VERSIONS = 7
"""Different states of the changing note, after which it is as it was."""
OTHER_PROCESS = 5
"""Every so many changes another process ingests, and this one follows."""
PAUSE_S = 0.2


@dataclass(frozen=True, slots=True)
class Soak:
    """What happened meanwhile."""

    seconds: float
    n_asked: int
    n_switches: int
    generations: int
    """Folders on disk at the end."""
    warm_mb: float
    end_mb: float
    errors: tuple[str, ...]
    """Each kind once."""

    @property
    def growth(self) -> float:
        """Of memory, as a share of what it was once warm."""
        return self.end_mb / self.warm_mb - 1


class Askers:
    """Threads that ask one question after the other until told to stop."""

    def __init__(self, live: LiveNotes, queries: Sequence[Query], n_threads: int = N_THREADS) -> None:
        self._live, self._queries = live, queries
        self._stop = threading.Event()
        self.n_asked = 0
        self.errors: dict[str, None] = {}
        self._counting = threading.Lock()
        self._threads = [threading.Thread(target=self._ask, args=(at,)) for at in range(n_threads)]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End, after the questions that are being answered."""
        self._stop.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, at: int) -> None:
        for query in cycle([*self._queries[at:], *self._queries[:at]]):
            if self._stop.is_set():
                return
            try:
                answer = self._live.current.ask(query)
                fault = "" if answer.text else "an empty answer"
            except Exception as error:  # whatever it is, it is what is looked for
                fault = f"{type(error).__name__}: {error}"
            with self._counting:
                self.n_asked += 1
                if fault:
                    self.errors[fault] = None


def write_version(folder: Path, number: int) -> None:
    """Change the note that changes: other questions, other lengths, now and then none."""
    version = number % N_VERSIONS
    questions = (
        f"# {place}. 第 {version} 版的问题 {place}\n\n{'回答。' * (version + place)}\n"
        for place in range(1, version + 1)
    )
    (folder / "changing.md").write_text("\n".join(questions), encoding="utf-8")


def resident_mb() -> float:
    """Return the memory of this process now; where the system does not tell, its peak."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return peak / 1024 / (1024 if sys.platform == "darwin" else 1)
    return pages * resource.getpagesize() / 1024**2


def change_and_switch(live: LiveNotes, settings: Settings, number: int) -> None:
    """Change a note and switch to the new generation, which now and then another process makes."""
    write_version(settings.corpus[0], number)
    if number % OTHER_PROCESS:
        live.refresh()
        return
    command = [sys.executable, "-m", "rag.ingest", str(settings.corpus[0]), "--index", str(settings.index)]
    subprocess.run(command, check=True, capture_output=True, cwd=CORPUS.parent)
    live.follow()


def soak(seconds: float, folder: Path) -> Soak:
    """Ask and change for so long, in a folder of its own."""
    notes = folder / "notes"
    shutil.copytree(CORPUS, notes)
    write_version(notes, 1)
    settings = Settings(corpus=(notes,), index=folder / "index")
    live = LiveNotes(settings, tell)
    askers = Askers(live, [judged.query for judged in load_queries(OWN)])
    started, samples, n_switches = time.monotonic(), [(0.0, resident_mb())], 0
    askers.start()
    try:
        while (passed := time.monotonic() - started) < seconds:
            n_switches += 1
            change_and_switch(live, settings, n_switches)
            samples.append((passed, resident_mb()))
            time.sleep(PAUSE_S)
    except Exception as error:  # told with the rest
        askers.errors[f"{type(error).__name__}: {error}"] = None
    finally:
        askers.stop()
    warm = [size for passed, size in samples if passed >= seconds * WARM_SHARE] or [samples[-1][1]]
    few = max(1, len(warm) // 5)
    return Soak(
        time.monotonic() - started,
        askers.n_asked,
        n_switches,
        len(list(settings.index.glob("gen-*"))),
        statistics.median(warm[:few]),
        statistics.median(warm[-few:]),
        tuple(askers.errors),
    )


def format_soak(soaked: Soak) -> str:
    """Write what happened."""
    return "\n".join(
        [
            f"{soaked.seconds / 60:.1f} minutes: {soaked.n_asked:,} questions, {soaked.n_switches:,} switches, "
            f"{soaked.generations} generations left, {len(soaked.errors)} errors",
            f"memory: {soaked.warm_mb:.0f} MB once warm, {soaked.end_mb:.0f} MB at the end ({soaked.growth:+.1%})",
            *soaked.errors,
        ]
    )


def run(arguments: list[str] | None) -> int:
    """Do what the command line asks for."""
    parser = argparse.ArgumentParser(prog="python -m eval.soak", description="一边问一边改笔记，看内存和错误。")
    parser.add_argument("--minutes", type=float, default=30.0, metavar="N", help="多久（默认 30 分钟）")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        soaked = soak(options.minutes * 60, Path(folder))
    write(format_soak(soaked))
    return EXIT_ERROR if soaked.errors or soaked.growth > MAX_GROWTH else EXIT_ANSWERED


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    return guard(run, arguments)


if __name__ == "__main__":
    raise SystemExit(main())
