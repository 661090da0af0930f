"""Settings: command line over environment (`RAG_*`) over defaults. The only module that reads the environment."""

import os
import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from rag import __version__
from rag.errors import UsageError
from rag.types import LENGTHS, Length

TOP_K = 10


@dataclass(frozen=True, slots=True)
class Settings:
    """What one run of the program works with."""

    corpus: tuple[Path, ...]
    """Files and folders of notes."""
    index: Path
    encoder: str = ""
    """Empty: the shipped one; `api:MODEL`: an endpoint; else a transformers model by id or folder."""
    llm: str = ""
    """Empty: answers are quotes; `openai:MODEL`: a server that speaks OpenAI's protocol; `hf:ID|PATH`: a local model."""
    llm_base_url: str = field(default="", repr=False)
    """An address may hold a password."""
    llm_api_key: str = field(default="", repr=False)
    llm_context: int = 0
    """Tokens the language model reads and writes at once; 0: what is known of it."""
    llm_timeout_s: int = 60
    """Longest wait for the next piece of a reply."""
    length: Length = "normal"
    top_k: int = TOP_K
    color: bool = True
    reranker: str = ""
    """A transformers cross-encoder by id or folder; empty: none."""
    verifier: str = ""
    """A transformers model for natural-language inference by id or folder, to check generated answers with; empty: none."""
    terms: Path | None = None
    """The user's own synonyms, in the format of `rag/data/terms.tsv`."""
    api_base: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)
    serve_key: str = field(default="", repr=False)
    """What programs that ask the server must send; empty: none."""
    trust_remote_code: bool = False
    """Whether a named model may bring code of its own; only the user can say so."""
    store: str = field(default="", repr=False)
    """Empty: the index is a folder; `milvus:URI`: a Milvus server, or a `.db` path for Milvus Lite."""
    engine: str = ""
    """What makes the index. Empty: this process; `ray`: a local Ray; `ray:HOST:PORT`: a Ray cluster."""
    store_token: str = field(default="", repr=False)
    """`USER:PASSWORD` or API key of the store."""
    data: Path | None = None
    """Where the app keeps chats and ratings; None: the user's data folder."""
    ui_auth: str = field(default="", repr=False)
    """`USER:PASSWORD` that the app asks for; empty: none."""

    @property
    def home(self) -> Path:
        """The folder the program may keep things of the user's in."""
        return self.data or _home()


def _home() -> Path:
    """Return where notes and index live outside a checkout; macOS and Windows have their own places."""
    from platformdirs import user_data_path

    return user_data_path("mianjing", appauthor=False)


def default_corpus() -> Path:
    """Return `./corpus` where it exists, else the `corpus` folder of the user's data folder."""
    here = Path("corpus")
    return here if here.is_dir() else _home() / "corpus"


def default_index(corpus: Path) -> Path:
    """Return the index folder of a corpus: `index` beside the default ones, else one of its own in the data folder."""
    if corpus == Path("corpus"):
        return Path("index")
    if corpus == _home() / "corpus":
        return _home() / "index"
    import hashlib

    digest = hashlib.blake2b(str(corpus.resolve()).encode(), digest_size=6).hexdigest()
    return _home() / f"index-{digest}"


def add_options(parser: ArgumentParser) -> None:
    """Add the options every command shares; each falls back on its `RAG_*` variable."""
    parser.add_argument("--corpus", metavar="DIR", help="笔记所在的文件夹或文件（RAG_CORPUS；默认 ./corpus）")
    parser.add_argument("--index", metavar="DIR", help="索引放在哪里（RAG_INDEX；默认 ./index）")
    parser.add_argument(
        "--store",
        metavar="milvus:URI",
        help="索引放进 Milvus：服务器地址，或一个 .db 文件（RAG_STORE；默认放在 --index）",
    )
    parser.add_argument(
        "--encoder",
        metavar="ID|PATH",
        help="换一个编码器：transformers 模型的名字或文件夹，或 api:模型名（RAG_ENCODER；默认用自带的）",
    )
    parser.add_argument(
        "--reranker", metavar="ID|PATH", help="再用一个 transformers 交叉编码器给排在前面的题重排（RAG_RERANKER）"
    )
    parser.add_argument(
        "--verifier",
        metavar="ID|PATH",
        help="用一个 transformers 蕴含判断（NLI）模型帮着核对大模型写的答案（RAG_VERIFIER；默认只用自带的办法）",
    )
    parser.add_argument(
        "--trust-remote-code",
        action="store_true",
        default=None,
        help="允许 --encoder、--reranker、--verifier、--llm 指定的模型运行它们自带的代码",
    )
    parser.add_argument("--terms", metavar="FILE", help="自己的同义词表，一行一组，用制表符隔开（RAG_TERMS）")
    parser.add_argument("--version", action="version", version=f"mianjing {__version__}")


def calm_ray(is_local: bool) -> None:
    """Set what Ray reads from the environment alone: it reports its use to nobody, and a local one stays on loopback."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    os.environ["RAY_BACKEND_LOG_LEVEL"] = "fatal"
    if is_local:
        os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"


def read_settings(options: Namespace, environment: Mapping[str, str] = os.environ) -> Settings:
    """Merge the command line with the environment.

    :raises UsageError: when a value makes no sense.
    """

    def value(name: str) -> str:
        given = getattr(options, name, None)
        return str(given) if given is not None else environment.get(f"RAG_{name.upper()}", "")

    paths = getattr(options, "paths", None) or ([value("corpus")] if value("corpus") else [])
    corpus = tuple(Path(path) for path in paths) or (default_corpus(),)
    top_k = value("top_k") or str(TOP_K)
    if not top_k.isdecimal() or int(top_k) < 1:
        raise UsageError(f"--top-k（RAG_TOP_K）：要一个不小于 1 的整数，写的却是 {top_k!r}")
    length = value("length") or "normal"
    if length not in LENGTHS:
        raise UsageError(f"--length（RAG_LENGTH）：要 {'、'.join(LENGTHS)} 中的一个，写的却是 {length!r}")
    context, timeout_s = value("llm_context") or "0", value("llm_timeout") or "60"
    for name, number in (("RAG_LLM_CONTEXT", context), ("RAG_LLM_TIMEOUT", timeout_s)):
        if not number.isdecimal():
            raise UsageError(f"{name}：要一个整数，写的却是 {number!r}")
    return Settings(
        corpus=corpus,
        index=Path(value("index")) if value("index") else default_index(corpus[0]),
        encoder=value("encoder"),
        llm=value("llm"),
        llm_base_url=environment.get("RAG_LLM_BASE_URL", ""),
        llm_api_key=environment.get("RAG_LLM_API_KEY", "") or environment.get("OPENAI_API_KEY", ""),
        llm_context=int(context),
        llm_timeout_s=max(1, int(timeout_s)),
        length=next(known for known in LENGTHS if known == length),
        reranker=value("reranker"),
        verifier=value("verifier"),
        top_k=int(top_k),
        terms=Path(value("terms")) if value("terms") else None,
        color=not getattr(options, "no_color", False) and "NO_COLOR" not in environment and sys.stdout.isatty(),
        api_base=environment.get("RAG_API_BASE", ""),
        api_key=environment.get("RAG_API_KEY", ""),
        serve_key=value("serve_key"),
        trust_remote_code=value("trust_remote_code").lower() in ("1", "true", "yes"),
        store=value("store"),
        engine="" if value("engine") == "local" else value("engine"),
        store_token=environment.get("RAG_STORE_TOKEN", ""),
        data=Path(value("data")) if value("data") else None,
        ui_auth=value("ui_auth"),
    )
