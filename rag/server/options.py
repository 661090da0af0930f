"""What a server is told when it starts."""

from dataclasses import dataclass, field

from rag.embed import count_cores

HOST, PORT = "127.0.0.1", 8620
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_BODY_BYTES = 1_000_000
N_WAITING = 512
"""Requests that may wait for a thread; at some 10 ms each they are served within seconds."""
MODEL_THREADS = 16
"""With a language model named: threads that mostly wait for it."""
TIMEOUT_S = 120.0
WATCH_S = 2.0
"""How often changed notes and new generations are looked for."""


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """How one server listens and what it bounds."""

    host: str = HOST
    port: int = PORT
    key: str = field(default="", repr=False)
    """What `Authorization: Bearer` must hold; empty: anyone may ask."""
    hosts: tuple[str, ...] = ()
    """Further names that the `Host` header may hold, without ports."""
    origins: tuple[str, ...] = ()
    """Web pages (`https://chat.example.com`) that may ask from a browser."""
    n_threads: int = 0
    """Threads that answer; 0: as many as cores, `MODEL_THREADS` with a language model."""
    n_waiting: int = N_WAITING
    max_body_bytes: int = MAX_BODY_BYTES
    timeout_s: float = TIMEOUT_S
    """Longest a request may take, waiting included."""
    sources: bool = False
    """Whether the text of an answer ends with where it comes from, for clients that show nothing else."""

    @property
    def is_loopback(self) -> bool:
        """Whether only this machine can connect."""
        return self.host in LOOPBACK

    def count_threads(self, llm: str) -> int:
        """Return how many threads answer.

        :param llm: the language model named in the settings, or empty.
        """
        return self.n_threads or (MODEL_THREADS if llm else count_cores())
