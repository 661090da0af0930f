"""A transformers chat model on this machine through LlamaIndex's `HuggingFaceLLM` (extra `llm-local`)."""

import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from rag.adapters.hub import find_model
from rag.adapters.llm import LlamaGenerator
from rag.errors import GeneratorError

try:
    import torch
    from jinja2 import TemplateError
    from llama_index.core.base.llms.types import CompletionResponse, CompletionResponseGen
    from llama_index.core.bridge.pydantic import PrivateAttr
    from llama_index.core.llms.callbacks import llm_completion_callback
    from llama_index.llms.huggingface import HuggingFaceLLM
    from transformers import (
        AutoModelForCausalLM,
        AutoTokenizer,
        StoppingCriteria,
        StoppingCriteriaList,
        TextIteratorStreamer,
    )
    from transformers.utils import logging
except ImportError as missing:
    raise GeneratorError("--llm hf: 还缺依赖；请先运行：pip install 'mianjing[llm-local]'") from missing

MAX_CONTEXT_TOKENS = 8_192
"""More would take minutes and gigabytes on a laptop."""
SMALL_MODEL_WEIGHTS = 2e9
"""Up to this many, 32-bit weights fit a laptop, whose processor is slow with 16-bit ones."""
GREEDY = {"do_sample": False, "temperature": None, "top_p": None, "top_k": None}
BREAK = "\u200b"
"""Put into control tokens that notes or questions spell out, so that they stay mere text."""


class _Stopped(StoppingCriteria):
    """Ends a generation that nobody reads any more."""

    def __init__(self, event: threading.Event) -> None:
        self._event = event

    def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
        return torch.full((input_ids.shape[0],), self._event.is_set(), device=input_ids.device)


class _Generation:
    """One generation in a thread of its own: its pieces, and what ends or fails it."""

    def __init__(self, run: Callable[..., Any], tokenizer: Any, turn: Any) -> None:
        self.streamer = TextIteratorStreamer(tokenizer, skip_prompt=True, skip_special_tokens=True)
        self.stop = threading.Event()
        self._run, self._turn = run, turn
        self._written: Any = None
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._generate, name="generate", daemon=True)
        self._thread.start()

    def _generate(self) -> None:
        try:
            with self._turn:  # one at a time: the others wait
                self._written = self._run(
                    streamer=self.streamer, stopping_criteria=StoppingCriteriaList([_Stopped(self.stop)])
                )
        # Raised in the reading thread; here nobody would hear it, and the reader would wait for ever.
        except Exception as error:
            self._failure = error
            self.streamer.on_finalized_text("", stream_end=True)

    def finish(self) -> list[int]:
        """Return prompt and reply as tokens, once the pieces have ended."""
        self._thread.join()
        if self._failure:
            raise self._failure
        tokens: list[int] = self._written[0].tolist()
        return tokens


class LocalChat(HuggingFaceLLM):
    """LlamaIndex's transformers LLM, whose stream can be stopped and whose failures are heard."""

    _turn: Any = PrivateAttr(default_factory=threading.Lock)

    @llm_completion_callback()
    def stream_complete(self, prompt: str, formatted: bool = False, **kwargs: Any) -> CompletionResponseGen:
        """Write the completion of a prompt; closing the iterator ends the generation."""
        # A chat template writes the begin mark itself.
        inputs = self._tokenizer(prompt, return_tensors="pt", add_special_tokens=not formatted).to(self._model.device)
        n_prompt = inputs["input_ids"].shape[1]
        limit = int(kwargs.get("max_new_tokens") or self.max_new_tokens)
        ends = self._model.generation_config.eos_token_id
        ends = ends if isinstance(ends, list) else [ends]

        def run(**options: Any) -> Any:
            wanted = {"input_ids": inputs["input_ids"], "attention_mask": inputs["attention_mask"]}
            return self._model.generate(**wanted, max_new_tokens=limit, **self.generate_kwargs, **options)

        def read() -> CompletionResponseGen:
            generation = _Generation(run, self._tokenizer, self._turn)
            text = ""
            try:
                for piece in generation.streamer:
                    text += piece
                    yield CompletionResponse(text=text, delta=piece)
                tokens = generation.finish()
            finally:
                generation.stop.set()
            was_cut = len(tokens) - n_prompt >= limit and tokens[-1] not in ends
            yield CompletionResponse(text=text, delta="", raw={"finish_reason": "length" if was_cut else "stop"})

        return read()


class LocalGenerator(LlamaGenerator):
    """A transformers chat model by id or folder."""

    limit_option = "max_new_tokens"

    def __init__(self, spec: str, context_tokens: int = 0, *, trust_remote_code: bool = False) -> None:
        folder = find_model("--llm hf:", spec)
        self._tokenizer, model = _load(folder, trust_remote_code=trust_remote_code)
        places = int(getattr(model.config, "max_position_embeddings", 0) or MAX_CONTEXT_TOKENS)
        context = min(places, context_tokens or MAX_CONTEXT_TOKENS)
        make: Any = LocalChat  # its parent takes model and tokenizer, which its own signature does not show
        llm = make(
            model=model,
            tokenizer=self._tokenizer,
            model_name=spec,
            tokenizer_name=spec,
            context_window=context,
            is_chat_model=True,
            messages_to_prompt=self._write_prompt,
            generate_kwargs=GREEDY | {"pad_token_id": self._tokenizer.pad_token_id or self._tokenizer.eos_token_id},
        )
        super().__init__(llm, Path(spec).name, context)

    def _explain(self, error: Exception, n_pieces: int) -> str:
        return f"这台机器上的模型出错了：{type(error).__name__}"

    def count_tokens(self, text: str) -> int:
        """Count a text's tokens by the model's own vocabulary."""
        return len(self._tokenizer(text, add_special_tokens=False, truncation=False, verbose=False)["input_ids"])

    def _write_prompt(self, messages: Sequence[Any]) -> str:
        """Write messages by the model's chat template; without thinking, where the template knows of it."""
        turns = [{"role": m.role.value, "content": self._break_control_tokens(m.content or "")} for m in messages]
        try:
            return self._apply(turns)
        except TemplateError:  # some templates have no system message
            first, *rest = turns
            merged = {"role": "user", "content": "\n\n".join([first["content"], *(turn["content"] for turn in rest)])}
            return self._apply([merged])

    def _apply(self, turns: list[dict[str, str]]) -> str:
        return str(
            self._tokenizer.apply_chat_template(
                turns, tokenize=False, add_generation_prompt=True, enable_thinking=False
            )
        )

    def _break_control_tokens(self, text: str) -> str:
        for token in self._tokenizer.all_special_tokens:
            text = text.replace(token, token[0] + BREAK + token[1:])
        return text


def _load(folder: Path, *, trust_remote_code: bool) -> tuple[Any, Any]:
    """Load tokenizer and model, on the graphics card where there is one.

    :raises GeneratorError: when the folder holds no chat model.
    """
    logs: Any = logging
    logs.set_verbosity_error()
    logs.disable_progress_bar()
    try:
        # Only safetensors: a pickled checkpoint can run code.
        options: dict[str, Any] = {"local_files_only": True, "trust_remote_code": trust_remote_code}
        tokenizer = AutoTokenizer.from_pretrained(folder, **options)
        model: Any = AutoModelForCausalLM.from_pretrained(folder, use_safetensors=True, dtype="auto", **options)
    except (OSError, ValueError, KeyError, ImportError) as error:
        reason = str(error).strip().splitlines()[0][:160]
        raise GeneratorError(f"--llm hf:{folder}: 读不出对话模型（{reason}）；文件夹里要有 safetensors 权重") from error
    if not tokenizer.chat_template:
        raise GeneratorError(f"--llm hf:{folder}: 这个模型没有对话模板；换一个对话（chat、instruct）模型")
    if torch.cuda.is_available():
        return tokenizer, model.to("cuda").eval()
    if torch.backends.mps.is_available():
        return tokenizer, model.to("mps").eval()
    return tokenizer, (model.float() if model.num_parameters() <= SMALL_MODEL_WEIGHTS else model).eval()
