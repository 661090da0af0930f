"""What the commands share: exit statuses, UTF-8 output, one-line errors."""

import contextlib
import os
import sys
from collections.abc import Callable
from typing import NoReturn

from rag.errors import RagError
from rag.terminal import show_line

EXIT_ANSWERED, EXIT_NOTHING, EXIT_ERROR, EXIT_INTERRUPTED = 0, 1, 2, 130
"""As grep's, and as shells report Ctrl-C."""


def tell(line: str) -> None:
    """Show the user one line beside the output, whatever the names and messages in it hold."""
    print(show_line(line), file=sys.stderr, flush=True)  # noqa: T201  the command's own output


def write(text: str) -> None:
    """Print to the output."""
    print(text, flush=True)  # noqa: T201  the command's own output


def leave(status: int) -> NoReturn:
    """End the process at once: to unload the libraries would take another 30 ms that nobody needs to wait for."""
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(BrokenPipeError):
            stream.flush()
    os._exit(status)


def guard(command: Callable[[list[str] | None], int], arguments: list[str] | None = None) -> int:
    """Run a command with UTF-8 streams, one-line errors, quiet closed pipes and Ctrl-C as shells expect."""
    for stream in (sys.stdin, sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(encoding="utf-8", errors="replace")
    try:
        return command(arguments)
    except RagError as error:
        tell(f"错误：{error}")
        return EXIT_ERROR
    except BrokenPipeError:
        # Python flushes stdout once more at exit; give it somewhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ANSWERED
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED
