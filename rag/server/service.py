"""What all requests of one server share: the live notes, the desk, the counters."""

from collections.abc import Callable

from rag.live import LiveNotes
from rag.pipeline import Notes
from rag.server.desk import Desk
from rag.server.faults import make_not_ready
from rag.server.metrics import Metrics
from rag.server.options import WATCH_S, ServerOptions

OpenNotes = Callable[[], LiveNotes]


class Service:
    """Opens the notes, and hands them out."""

    def __init__(self, options: ServerOptions, n_threads: int) -> None:
        self.options = options
        self.metrics = Metrics(self._count_questions)
        self.desk = Desk(n_threads, options.n_waiting, options.timeout_s)
        self._live: LiveNotes | None = None

    def open(self, open_notes: OpenNotes) -> None:
        """Open the notes and keep them fresh; may take as long as an index takes to build.

        :raises RagError: when they cannot be opened.
        """
        live = open_notes()
        live.watch(WATCH_S)
        self._live = live

    def close(self) -> None:
        """Finish what runs, and let go of the notes."""
        self.desk.close()
        if self._live:
            self._live.close()

    @property
    def notes(self) -> Notes:
        """The notes as of now: take them once for a request.

        :raises ApiFault: when they are not open yet.
        """
        if not self._live:
            raise make_not_ready()
        return self._live.current

    def _count_questions(self) -> int:
        return len(self._live.current.questions) if self._live else 0
