"""Chat models through LlamaIndex (extra `llm`): any of its LLMs, and any server that speaks OpenAI's protocol.

LlamaIndex takes two seconds to import, so that waits until a model is first asked.
"""

import contextlib
import json
import random
import re
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Generator as Pieces
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from rag.config import Settings
from rag.errors import GeneratorError, UsageError
from rag.types import Generator, Turn

PUBLIC_API = "https://api.openai.com/v1"
CONTEXT_TOKENS = 8_192
"""Of a model that nothing is known of; servers at home often give no more."""
TEMPERATURE = 0.1
CONNECT_TIMEOUT_S = 8.0
REPLY_TIMEOUT_S = 900.0
"""Longest whole reply: a laptop writes three tokens a second."""
N_RETRIES = 2
RETRIED = frozenset({408, 429, 500, 502, 503, 504})
FIRST_WAIT_S, LONGEST_WAIT_S = 0.5, 20.0
"""Between tries; a server that asks for a longer wait is not waited for."""
CJK_TOKENS, OTHER_TOKENS = 1.2, 0.4
"""Tokens of one character by a vocabulary that suits Chinese badly."""
TRUNCATED = "……"
REASONS = {
    400: "请求被服务拒绝（400）",
    401: "密钥不对（401），检查 RAG_LLM_API_KEY",
    402: "账户余额不足（402）",
    403: "密钥没有权限（403），检查 RAG_LLM_API_KEY",
    404: "服务里没有这个模型或接口（404），检查 --llm 和 RAG_LLM_BASE_URL（地址多半以 /v1 结尾）",
    429: "请求太频繁或额度用完了（429），过一会儿再试",
}
"""HTTP status to what it means for the reader; servers' own words may repeat the key, and are not shown."""


def estimate_tokens(text: str) -> int:
    """Estimate a text's tokens where the model's vocabulary is unknown, rather too many than too few."""
    n_other = sum(char < "\u2e80" for char in text)
    return int(CJK_TOKENS * (len(text) - n_other) + OTHER_TOKENS * n_other) + 1


class LlamaGenerator:
    """Any LlamaIndex LLM as a `Generator`."""

    limit_option = ""
    """Keyword by which a call limits the reply's tokens; empty: the LLM's own limit stands."""
    says_finish = False
    """Whether a whole reply ends with a finish reason, so that one without was cut."""

    def __init__(self, llm: Any, name: str = "", context_tokens: int = 0) -> None:
        self._llm = llm
        self._name, self._context_tokens = name, context_tokens

    @property
    def name(self) -> str:
        """As a reader knows it."""
        return self._name or str(self._llm.metadata.model_name)

    @property
    def context_tokens(self) -> int:
        """Messages and reply together may have this many tokens."""
        return self._context_tokens or int(self._llm.metadata.context_window)

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens, rather too many than too few."""
        return estimate_tokens(text)

    def stream(self, messages: Sequence[Turn], max_tokens: int) -> Iterator[str]:
        """Write the reply piece by piece, trying again while nothing has come.

        :raises GeneratorError: when the model cannot be asked or breaks off.
        """
        for n_tries in range(N_RETRIES + 1):
            n_pieces = 0
            try:
                with contextlib.closing(self._write(messages, max_tokens)) as pieces:
                    for piece in pieces:
                        n_pieces += 1
                        yield piece
                return
            except GeneratorError:
                raise
            # Each LLM class brings its own client library with its own exceptions.
            except Exception as error:
                wait_s = _wait_before_retry(error, n_tries)
                if n_pieces or n_tries == N_RETRIES or wait_s is None:
                    raise GeneratorError(self._explain(error, n_pieces)) from error
            time.sleep(wait_s)

    def _open(self) -> Any:
        """Return the LlamaIndex LLM, made when first needed."""
        return self._llm

    @contextlib.contextmanager
    def _start(self, messages: Sequence[Turn], options: dict[str, int]) -> Iterator[Iterator[Any]]:
        """Begin a reply, and end it for good: LlamaIndex's own iterators outlive their reader."""
        from llama_index.core.base.llms.types import ChatMessage

        turns = [ChatMessage(role=turn.role, content=turn.content) for turn in messages]
        with contextlib.closing(self._open().stream_chat(turns, **options)) as responses:
            yield responses

    def _write(self, messages: Sequence[Turn], max_tokens: int) -> Pieces[str, None, None]:
        options = {self.limit_option: max_tokens} if self.limit_option else {}
        deadline = time.monotonic() + REPLY_TIMEOUT_S
        text, finish = "", ""
        with self._start(messages, options) as responses:
            for response in responses:
                finish = _finish_reason(response.raw) or finish
                whole = response.message.content or ""
                piece = response.delta if response.delta is not None else whole[len(text) :]
                text += piece
                if piece:
                    yield piece
                if time.monotonic() > deadline:
                    raise GeneratorError(f"{REPLY_TIMEOUT_S:.0f} 秒还没有写完")
        if finish == "length":
            yield TRUNCATED
        elif finish == "content_filter":
            raise GeneratorError("回答被服务的内容审查拦下了")
        elif self.says_finish and not finish:
            raise GeneratorError("回答传到一半断了" if text else "服务没有返回能读懂的内容")

    def _explain(self, error: Exception, n_pieces: int) -> str:
        """Say in one line what went wrong; never in the words of a server, which may hold the key."""
        status, kind = getattr(error, "status_code", None), type(error).__name__
        if status is not None:
            return REASONS.get(status, f"服务出错了（{status}）")
        if "Timeout" in kind:
            return "等了太久没有回音"
        if isinstance(error, json.JSONDecodeError | AttributeError | TypeError | KeyError | IndexError | ValueError):
            return "服务返回的内容读不懂"
        if n_pieces or kind in ("RemoteProtocolError", "ReadError", "IncompleteRead"):
            return "回答传到一半断了"
        return f"服务出错了（{kind}）"


class OpenAIGenerator(LlamaGenerator):
    """A model behind OpenAI's protocol, through LlamaIndex's `OpenAILike`."""

    limit_option = "max_tokens"
    says_finish = True

    def __init__(self, model: str, base_url: str, api_key: str, context_tokens: int, timeout_s: float) -> None:
        super().__init__(None, model, context_tokens or CONTEXT_TOKENS)
        self._base_url, self._api_key, self._timeout_s = base_url, api_key, timeout_s
        self._opening = threading.Lock()
        self._own = threading.local()

    def _open(self) -> Any:
        with self._opening:
            if self._llm is None:
                self._llm = self._make()
            return self._llm

    @contextlib.contextmanager
    def _start(self, messages: Sequence[Turn], options: dict[str, int]) -> Iterator[Iterator[Any]]:
        opened: list[Any] = []
        self._own.opened = opened  # the request is sent by this thread, before the first piece
        try:
            with super()._start(messages, options) as responses:
                yield responses
        finally:
            for response in opened:
                response.close()

    def _make(self) -> Any:
        import httpx
        import openai
        from llama_index.llms.openai_like import OpenAILike

        # A proxy set for the outside world would be asked for this very machine.
        is_near = urlsplit(self._base_url).hostname in ("localhost", "127.0.0.1", "::1")
        client = openai.OpenAI(
            api_key=self._api_key or "none",
            base_url=self._base_url,
            max_retries=0,
            timeout=httpx.Timeout(self._timeout_s, connect=min(CONNECT_TIMEOUT_S, self._timeout_s)),
            http_client=openai.DefaultHttpxClient(
                trust_env=not is_near, event_hooks={"response": [lambda response: self._own.opened.append(response)]}
            ),
        )
        make: Any = OpenAILike  # its parents take the client, which its own signature does not show
        return make(
            model=self.name,
            api_base=self._base_url,
            api_key=self._api_key or "none",
            context_window=self.context_tokens,
            is_chat_model=True,
            temperature=TEMPERATURE,
            max_retries=0,
            openai_client=client,
        )

    def _explain(self, error: Exception, n_pieces: int) -> str:
        if type(error).__name__ == "APIConnectionError":
            return f"连不上 {_show_host(self._base_url)}，检查 RAG_LLM_BASE_URL，或者服务开了没有"
        if type(error).__name__ == "APIError":
            return "服务中途报错了"
        return super()._explain(error, n_pieces)


def _finish_reason(raw: Any) -> str:
    """Read why a reply ended from a client library's own chunk; empty while it goes on."""
    choices = getattr(raw, "choices", None)
    if isinstance(raw, dict):
        return str(raw.get("finish_reason") or "")
    return str(getattr(choices[0], "finish_reason", None) or "") if choices else ""


def _wait_before_retry(error: Exception, n_tries: int) -> float | None:
    """Return the seconds to wait, or None when another try is of no use."""
    if getattr(error, "status_code", None) not in RETRIED or getattr(error, "code", None) == "insufficient_quota":
        return None
    asked = str(getattr(getattr(error, "response", None), "headers", {}).get("retry-after", ""))
    if re.fullmatch(r"\d+(\.\d+)?", asked):
        return float(asked) if float(asked) <= LONGEST_WAIT_S else None
    return float(FIRST_WAIT_S * 2**n_tries * (1 + random.random() / 4))


def _show_host(url: str) -> str:
    """Show where a server is, without user names and passwords that an address may hold."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"


def open_server_model(model: str, settings: Settings) -> Generator:
    """Name a model behind OpenAI's protocol; nothing is sent yet.

    :raises GeneratorError: when LlamaIndex is not installed.
    :raises UsageError: when the settings cannot be right.
    """
    if find_spec("llama_index") is None or find_spec("llama_index.llms.openai_like") is None:
        raise GeneratorError(f"--llm openai:{model} 还缺依赖；请先运行：pip install 'mianjing[llm]'")
    base_url = settings.llm_base_url or PUBLIC_API
    if urlsplit(base_url).scheme not in ("http", "https") or not urlsplit(base_url).hostname:
        raise UsageError("RAG_LLM_BASE_URL：要写成 http:// 或 https:// 开头的地址，比如 http://127.0.0.1:11434/v1")
    if not settings.llm_base_url and not settings.llm_api_key:
        raise UsageError(
            f"--llm openai:{model}: 还没有写密钥；先设环境变量 RAG_LLM_API_KEY，别家或自己的服务再设 RAG_LLM_BASE_URL"
        )
    return OpenAIGenerator(model, base_url, settings.llm_api_key, settings.llm_context, float(settings.llm_timeout_s))


def open_local_model(spec: str, settings: Settings) -> Generator:
    """Load a transformers chat model by id or folder.

    :raises GeneratorError: when it cannot be loaded.
    """
    from rag.adapters.llm_local import LocalGenerator

    return LocalGenerator(spec, settings.llm_context, trust_remote_code=settings.trust_remote_code)


KINDS: dict[str, tuple[str, Callable[[str, Settings], Generator]]] = {
    "openai": ("模型名", open_server_model),
    "hf": ("名字或文件夹", open_local_model),
}
"""Before the colon: what stands after it, and what loads it."""


def open_generator(settings: Settings) -> Generator:
    """Load the model that `settings.llm` names.

    :raises UsageError: when it is of no known kind.
    :raises GeneratorError: when it cannot be loaded.
    """
    kind, _, name = settings.llm.partition(":")
    if kind not in KINDS or not name:
        known = "、".join(f"{kind}:{what}" for kind, (what, _) in KINDS.items())
        raise UsageError(f"--llm {settings.llm}: 认不出这种写法；认识的有 {known}")
    return KINDS[kind][1](name, settings)
