"""Run fresh processes and measure their time and memory."""

import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Run:
    """What one process took."""

    seconds: float
    peak_mb: float
    """Highest resident memory."""
    output: str


class RunFailed(Exception):
    """A measured process failed; the message is the end of what it said."""


def run_python(*arguments: str) -> Run:
    """Run a fresh interpreter to its end.

    :raises RunFailed: when it fails.
    """
    started = time.perf_counter()
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        process = subprocess.Popen([sys.executable, *arguments], stdout=output, stderr=errors)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        errors.seek(0)
        if process.returncode:
            raise RunFailed(errors.read()[-800:].strip())
        unit = 1024 if sys.platform != "darwin" else 1024**2
        return Run(seconds, usage.ru_maxrss / unit, output.read())
