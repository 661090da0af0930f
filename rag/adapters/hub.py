"""Find a transformers model by folder or name: on the disk, in the hub library's cache, or on the hub itself."""

from pathlib import Path

from rag.errors import EncoderError, GeneratorError, RagError

HUB_TIMEOUT_S = 8.0
WANTED_FILES = ("*.json", "*.safetensors", "*.txt", "*.model", "*.jinja", "*/config.json")
ROLES: dict[str, tuple[type[RagError], str, str]] = {
    "--encoder ": (EncoderError, "去掉 --encoder，用自带的编码器", "hf"),
    "--reranker ": (EncoderError, "去掉 --reranker，不再重排", "hf"),
    "--verifier ": (EncoderError, "去掉 --verifier，用自带的办法核对", "hf"),
    "--llm hf:": (GeneratorError, "去掉 --llm，直接摘录笔记", "llm-local"),
}
"""What names a model, as it is written before the name: the error it raises, how to do without, the extra it needs."""


def find_model(role: str, spec: str) -> Path:
    """Return the folder of a model: `spec` itself when it is one, else its files from the hub or its cache.

    The hub library reads `HF_ENDPOINT` (mirrors) and `HF_HUB_OFFLINE` by itself.

    :param role: a key of `ROLES`.
    :raises RagError: of the role's kind, when there is no such model, or it cannot be reached.
    """
    fault, without, _ = ROLES[role]
    folder = Path(spec).expanduser()
    if folder.is_dir():
        return folder
    if spec.startswith((".", "/", "~")):
        raise fault(f"{role}{spec}: 没有这个文件夹；后面写模型文件夹的路径，或模型站上的名字")
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise missing_extra(role) from error
    try:
        return Path(snapshot_download(spec, allow_patterns=list(WANTED_FILES), etag_timeout=HUB_TIMEOUT_S))
    # Offline, unreachable, misspelt and forbidden are a dozen unrelated exception types in the hub library.
    except Exception as error:
        reason = str(error).strip().splitlines()[0][:120] if str(error).strip() else type(error).__name__
        raise fault(
            f"{role}{spec}: 下载不到这个模型（{reason}）。三条出路：一、{without}；"
            f"二、设环境变量 HF_ENDPOINT，改走镜像站；三、在能上网的机器上下好，再用 {role}加文件夹路径"
        ) from error


def missing_extra(role: str) -> RagError:
    """Say what to install for a role."""
    fault, _, extra = ROLES[role]
    return fault(f"{role.rstrip(': ')} 要用 transformers 模型，还缺依赖；请先运行：pip install 'mianjing[{extra}]'")
