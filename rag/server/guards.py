"""What a request must pass before anything reads it: whom it is for, where it comes from, the key, the size."""

import asyncio
import hmac
from collections import deque
from collections.abc import Callable

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from rag.server.faults import ApiFault
from rag.server.observe import send_fault
from rag.server.options import LOOPBACK, ServerOptions

OPEN_PATHS = ("/healthz",)
"""Asked by whoever watches over the process, without a key."""
BODY_TIMEOUT_S = 30.0
DRAINED_BODIES = 8
"""A body too big is read to its end, up to this many times the limit: a client that still sends would not see the refusal."""

Check = Callable[[Scope, Headers], None]
"""Raises `ApiFault` to refuse a request by its head."""


class Checked:
    """Lets only requests through whose head passes a check."""

    def __init__(self, app: ASGIApp, check: Check) -> None:
        self._app, self._check = app, check

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] == "http":
            try:
                self._check(scope, Headers(scope=scope))
            except ApiFault as fault:
                await send_fault(fault, send)
                return
        await self._app(scope, receive, send)


def make_place_check(options: ServerOptions) -> Check:
    """Refuse requests for other hosts and from other pages: a web page must not reach the notes through DNS rebinding.

    A server that other machines may reach has names it cannot know; its hosts are checked where they are named.
    """
    names = {*options.hosts, *((*LOOPBACK, options.host) if options.is_loopback or options.hosts else ())}

    def check(scope: Scope, headers: Headers) -> None:
        host = headers.get("host", "").lower()
        if names and _drop_port(host) not in names:
            message = "Host 不在允许之列；如果是经过反向代理来的，启动时加上 --allowed-host 域名"
            raise ApiFault(421, "host_not_allowed", message)
        origin = headers.get("origin", "")
        if origin and origin not in options.origins and origin.lower().partition("://")[2] != host:
            message = f"来自网页 {origin[:200]} 的请求不在允许之列；要允许，启动时加上 --cors-origin {origin[:200]}"
            raise ApiFault(403, "origin_not_allowed", message)

    return check


def _drop_port(host: str) -> str:
    name, _, port = host.rpartition(":")
    return (name if name and port.isdecimal() else host).strip("[]")


def make_key_check(key: str) -> Check:
    """Refuse requests without the key; the comparison takes as long whatever is given."""
    wanted = key.encode()

    def check(scope: Scope, headers: Headers) -> None:
        if scope["path"] in OPEN_PATHS:
            return
        scheme, _, given = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode("latin-1"), wanted):
            raise ApiFault(401, "invalid_api_key", "密钥不对：请求头要带 Authorization: Bearer 启动时设的密钥")

    return check


class LimitedBody:
    """Reads the body of a request, declared or chunked, up to a limit; what is inside gets it whole."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self._app, self._max_bytes = app, max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass a request on, or refuse it."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            async with asyncio.timeout(BODY_TIMEOUT_S):
                waiting = deque([await self._read(Headers(scope=scope), receive)])
        except TimeoutError:
            await send_fault(ApiFault(408, "timeout", f"{BODY_TIMEOUT_S:g} 秒内没有收完请求体"), send)
            return
        except ApiFault as fault:
            await send_fault(fault, send)
            return

        async def replay() -> Message:
            return waiting.popleft() if waiting else await receive()

        await self._app(scope, replay, send)

    async def _read(self, headers: Headers, receive: Receive) -> Message:
        declared = headers.get("content-length", "")
        n_bytes = int(declared) if declared.isdecimal() else 0
        parts, more = [], n_bytes <= DRAINED_BODIES * self._max_bytes
        n_bytes = n_bytes if not more else 0
        while more:
            message = await receive()
            if message["type"] != "http.request":
                return message
            part, more = message.get("body", b""), message.get("more_body", False)
            n_bytes += len(part)
            if n_bytes <= self._max_bytes:
                parts.append(part)
            else:
                parts.clear()
                more = more and n_bytes <= DRAINED_BODIES * self._max_bytes
        if n_bytes > self._max_bytes:
            message_text = f"请求体太大，最多 {self._max_bytes} 字节"
            raise ApiFault(413, "request_too_large", message_text)
        return {"type": "http.request", "body": b"".join(parts), "more_body": False}
