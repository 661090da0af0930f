"""Log one line of JSON for each request, never a word of what was asked, and let no error out."""

import json
import logging
import time
import traceback
from contextlib import suppress

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.server.faults import ApiFault, make_crash
from rag.server.metrics import Metrics

ACCESS, FAULTS = logging.getLogger("rag.server.access"), logging.getLogger("rag.server.faults")
ROUTES = ("/v1/chat/completions", "/v1/models", "/mcp", "/healthz", "/metrics")
"""Paths that are logged and counted by name; any other could hold anything."""
MODELS = "/v1/models/"
METHODS = ("GET", "POST", "OPTIONS", "HEAD", "DELETE", "PUT", "PATCH")
OTHER = "other"
CLIENT_GONE = 499
"""As nginx logs a client that left before it was answered."""


class JsonLines(logging.Formatter):
    """Writes a record as one line of JSON; of an error only its kind and place, since its words may quote a question."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created))
        line = {"time": f"{stamp}.{int(record.msecs):03d}Z", "level": record.levelname.lower()}
        fields = getattr(record, "fields", None)
        line |= (
            fields if isinstance(fields, dict) else {"logger": record.name, "place": f"{record.module}:{record.lineno}"}
        )
        if record.exc_info and record.exc_info[1]:
            line["error"] = describe_error(record.exc_info[1])
        return json.dumps(line, ensure_ascii=False)


def describe_error(error: BaseException) -> str:
    """Name an error and where it was raised, without its words."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" {frames[-1].filename}:{frames[-1].lineno}" if frames else ""
    return f"{type(error).__name__}{place}"


def log_crash(error: BaseException) -> None:
    """Log an error of the program's own."""
    FAULTS.error("", extra={"fields": {"error": describe_error(error)}})


def name_route(path: str) -> str:
    """Name a path for logs and counters."""
    if path.startswith(MODELS):
        return MODELS + "{id}"
    return path if path in ROUTES else OTHER


class Observer:
    """The outermost layer: times, counts and logs requests, and answers what went wrong inside."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app, self._metrics = app, metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started = CLIENT_GONE, time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        with self._metrics.in_flight.track_inprogress():
            try:
                await self._app(scope, receive, watch)
            except Exception as error:  # the last to catch it; the server would log its words
                log_crash(error)
                if status == CLIENT_GONE:
                    await send_fault(make_crash(), watch)
            finally:
                self._log(scope, status, time.perf_counter() - started)

    def _log(self, scope: Scope, status: int, seconds: float) -> None:
        route = name_route(scope["path"])
        method = scope["method"] if scope["method"] in METHODS else OTHER
        self._metrics.count_request(route, status, seconds)
        fields = {"method": method, "path": route, "status": status, "ms": round(seconds * 1000, 1)}
        ACCESS.info("", extra={"fields": fields})


async def send_fault(fault: ApiFault, send: Send) -> None:
    """Answer with a refusal."""
    headers = [(name.lower().encode(), value.encode()) for name, value in fault.headers.items()]
    body = fault.to_bytes()
    headers.append((b"content-length", str(len(body)).encode()))
    with suppress(OSError):
        await send({"type": "http.response.start", "status": fault.status, "headers": headers})
        await send({"type": "http.response.body", "body": body})
