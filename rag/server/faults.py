"""What a request can be refused for, in the shape of OpenAI's errors."""

import json
from typing import Any


class ApiFault(Exception):
    """A request that is refused: an HTTP status, a code for programs and one line for people."""

    def __init__(self, status: int, code: str, message: str, *, param: str | None = None, retry_s: int = 0) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param, self.retry_s = status, code, message, param, retry_s

    def to_record(self) -> dict[str, Any]:
        """Write it as OpenAI does."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        return {"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}}

    def to_bytes(self) -> bytes:
        """Serialise it."""
        return json.dumps(self.to_record(), ensure_ascii=False).encode()

    @property
    def headers(self) -> dict[str, str]:
        """Headers that go with it."""
        headers = {"Content-Type": "application/json"}
        if self.retry_s:
            headers["Retry-After"] = str(self.retry_s)
        if self.status == 401:
            headers["WWW-Authenticate"] = "Bearer"
        return headers


def make_busy(retry_s: int) -> ApiFault:
    """Refuse because too many are asking."""
    return ApiFault(429, "too_many_requests", f"同时来问的太多了，{retry_s} 秒后再试", retry_s=retry_s)


def make_not_ready() -> ApiFault:
    """Refuse because the notes are still being opened."""
    return ApiFault(503, "not_ready", "笔记还在打开，稍后再试", retry_s=2)


def make_late(timeout_s: float) -> ApiFault:
    """Refuse because it took too long."""
    return ApiFault(504, "timeout", f"{timeout_s:g} 秒内没有答完；再试一次，或用 --timeout 放宽")


def make_crash() -> ApiFault:
    """Refuse because of a fault of the program's own."""
    return ApiFault(500, "internal_error", "服务出错了，日志里有出错的位置")
