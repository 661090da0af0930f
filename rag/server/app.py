"""Put the server together: routes inside, guards around them, the observer outermost."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from mcp.server.streamable_http_manager import StreamableHTTPASGIApp
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import Route
from starlette.types import ASGIApp

from rag.errors import RagError
from rag.server.chat import answer_chat, to_fault
from rag.server.faults import ApiFault, make_crash
from rag.server.guards import Checked, LimitedBody, make_key_check, make_place_check
from rag.server.mcp_tools import make_mcp
from rag.server.observe import ROUTES, Observer
from rag.server.openai_api import MODELS, find_model
from rag.server.options import ServerOptions
from rag.server.service import OpenNotes, Service

Failed = Callable[[Exception], None]
"""Told why the notes cannot be opened; the server then has nothing to serve."""


def make_app(service: Service, open_notes: OpenNotes, failed: Failed) -> ASGIApp:
    """Make the application: it listens at once, and is ready when the notes are open."""
    mcp = make_mcp(service)
    # Guards of our own stand before it: they know of proxies and of the key.
    mcp.streamable_http_app(json_response=True, stateless_http=True, host="")

    @asynccontextmanager
    async def live(_: FastAPI) -> AsyncIterator[None]:
        opening = asyncio.create_task(_open(service, open_notes, failed))
        async with mcp.session_manager.run():
            yield
        await opening
        await asyncio.to_thread(service.close)

    app = FastAPI(title="Mianjing", lifespan=live, docs_url=None, redoc_url=None, openapi_url=None)
    # Calls only: a stream for what the server might say unasked would be held open for nothing.
    app.router.routes.append(Route("/mcp", StreamableHTTPASGIApp(mcp.session_manager), methods=["POST"]))
    _add_routes(app, service)
    _add_fault_handlers(app)
    return _guard(app, service.options, service)


async def _open(service: Service, open_notes: OpenNotes, failed: Failed) -> None:
    try:
        await asyncio.to_thread(service.open, open_notes)
    except Exception as error:  # raised again when the server has ended
        failed(error)


def _add_routes(app: FastAPI, service: Service) -> None:
    async def chat(request: Request) -> Response:
        return await answer_chat(service, request)

    async def list_models() -> Response:
        return JSONResponse({"object": "list", "data": [find_model(name) for name in MODELS]})

    async def show_model(name: str) -> Response:
        return JSONResponse(find_model(name))

    async def tell_health() -> Response:
        notes = service.notes
        record: dict[str, Any] = {"status": "ok", "generation": notes.index.generation}
        return JSONResponse(
            record | {"questions": len(notes.questions), "documents": len(notes.index.content.documents)}
        )

    async def show_metrics() -> Response:
        return Response(service.metrics.to_text(), media_type="text/plain; version=0.0.4; charset=utf-8")

    app.add_api_route("/v1/chat/completions", chat, methods=["POST"])
    app.add_api_route("/v1/models", list_models)
    app.add_api_route("/v1/models/{name:path}", show_model)
    app.add_api_route("/healthz", tell_health)
    app.add_api_route("/metrics", show_metrics)


def _add_fault_handlers(app: FastAPI) -> None:
    async def refuse(_: Request, error: Exception) -> Response:
        if isinstance(error, RagError):
            fault = to_fault(error)
        elif isinstance(error, HTTPException):
            fault = _name_routes(error.status_code)
        else:
            fault = error if isinstance(error, ApiFault) else make_crash()
        return Response(fault.to_bytes(), fault.status, fault.headers)

    for kind in (ApiFault, RagError, HTTPException, Exception):
        app.add_exception_handler(kind, refuse)


def _name_routes(status: int) -> ApiFault:
    if status == 405:
        return ApiFault(405, "method_not_allowed", "这个地址不支持这种请求方法")
    return ApiFault(status, "not_found", f"没有这个地址；可用的是 {'、'.join(ROUTES)}")


def _guard(app: ASGIApp, options: ServerOptions, service: Service) -> ASGIApp:
    guarded: ASGIApp = LimitedBody(app, options.max_body_bytes)
    if options.key:
        guarded = Checked(guarded, make_key_check(options.key))
    if options.origins:
        guarded = CORSMiddleware(
            guarded,
            allow_origins=options.origins,
            allow_methods=["GET", "POST"],
            allow_headers=["*"],
            expose_headers=["Retry-After", "Mcp-Session-Id"],
        )
    return Observer(Checked(guarded, make_place_check(options)), service.metrics)
