"""Keep the notes open in a long-running program, and switch to a new index without disturbing who is reading."""

import threading
from dataclasses import dataclass, replace

from rag.build import BuildReport, build, index_documents
from rag.config import Settings
from rag.corpus import corpus_digest, find_files
from rag.errors import CorpusError, RagError
from rag.index import OpenIndex
from rag.pipeline import Notes, Notice, load_encoder, open_notes, prepare_notes
from rag.stores import open_store
from rag.synonyms import digest_groups, load_thesaurus
from rag.types import Encoder, Progress

CLOSE_WAIT_S = 5.0


@dataclass(frozen=True, slots=True)
class _Watch:
    """A thread that looks for changes, and what stops it."""

    thread: threading.Thread
    stop: threading.Event


class LiveNotes:
    """The open notes of a program that keeps running.

    Whoever answers takes `current` once and keeps it: a `Notes` is never changed, only replaced by a newer one.
    """

    def __init__(self, settings: Settings, notice: Notice) -> None:
        self._settings, self._notice = settings, notice
        self._changing = threading.Lock()
        self._watch: _Watch | None = None
        try:
            self._notes = open_notes(settings, notice)
        except CorpusError as error:  # a program that keeps running can be given notes later
            notice(str(error))
            encoder = load_encoder(settings)
            self._notes = prepare_notes(settings, encoder)(_index_nothing(settings, encoder))

    @property
    def current(self) -> Notes:
        """The notes as of now; never waits."""
        return self._notes

    def refresh(self, progress: Progress | None = None) -> BuildReport:
        """Read the notes again, build a generation, and switch to it; the former one answers meanwhile.

        Notes that were all taken away are gone at once; the last generation stays on disk until there are new ones.

        :raises RagError: when nothing can be read or written; the former notes stay.
        """
        with self._changing:
            try:
                report = build(self._settings, self._notes.encoder, progress)
            except CorpusError:
                if any(find_files(self._settings.corpus)):
                    raise
                return self._forget()
            self._switch()
            return report

    def follow(self) -> bool:
        """Switch to a generation that another process wrote, and tell whether there was one.

        :raises IndexFault: when it cannot be read; the former notes stay.
        """
        with self._changing:
            if open_store(self._settings).generation() in ("", self._notes.index.generation):
                return False
            self._switch()
            return True

    def is_stale(self) -> bool:
        """Tell whether the notes' files have changed since they were read.

        :raises CorpusError: when they are gone.
        """
        now = corpus_digest(self._settings.corpus, digest_groups(self._settings.terms))
        return now != self._notes.index.content.corpus

    def watch(self, interval_s: float) -> None:
        """Look for changed notes and new generations every so often, in a thread of its own, until `close`."""
        self.close()
        stop = threading.Event()
        thread = threading.Thread(target=self._look, args=(stop, interval_s), name="watch-notes", daemon=True)
        self._watch = _Watch(thread, stop)
        thread.start()

    @property
    def watching(self) -> bool:
        """Whether changes are looked for."""
        return self._watch is not None

    def close(self) -> None:
        """Stop looking for changes."""
        watch, self._watch = self._watch, None
        if watch:
            watch.stop.set()
            watch.thread.join(CLOSE_WAIT_S)

    def _look(self, stop: threading.Event, interval_s: float) -> None:
        said, seen = "", None
        while not stop.wait(interval_s):
            try:
                # What several read, `rag.ingest` alone writes.
                if not self.follow() and not self._settings.store and (stamp := self._stamp()) != seen:
                    if self.is_stale():
                        self.refresh()
                    seen = stamp
                said = ""
            except (RagError, OSError) as error:
                if str(error) != said:  # once, not at every look
                    self._notice(str(error))
                said = str(error)

    def _stamp(self) -> list[tuple[str, int, int]]:
        """Return what shows without reading them whether files may have changed."""
        places = [(file, file.stat()) for file in find_files(self._settings.corpus)]
        return [(str(file), place.st_mtime_ns, place.st_size) for file, place in places]

    def _switch(self) -> None:
        index = open_store(self._settings).open(self._notes.encoder.fingerprint)
        self._notes = replace(self._notes, index=index)

    def _forget(self) -> BuildReport:
        removed = tuple(question.label for question in self._notes.questions)
        self._notes = replace(self._notes, index=_index_nothing(self._settings, self._notes.encoder))
        return BuildReport((), (), removed, 0, 0, 0, 0, (), 0.0)


def _index_nothing(settings: Settings, encoder: Encoder) -> OpenIndex:
    """Index notes that hold no question."""
    digest = corpus_digest([path for path in settings.corpus if path.exists()], digest_groups(settings.terms))
    content, _ = index_documents((), (), encoder, load_thesaurus(settings.terms))
    return OpenIndex(replace(content, corpus=digest))
