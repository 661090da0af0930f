"""A tiny chat model made on the spot: real tokenizer, chat template and weights, which recite one reply."""

from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

MARKS = ("<|end|>", "<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{% for m in messages %}{{ '<|' + m['role'] + '|>' + m['content'] + '<|end|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>' }}{% endif %}"
)
LINES = ["为什么要除以根号dk？笔记、题号、问题、回答。", "Attention is all you need: softmax(QK^T/sqrt(d_k))V"] * 4
CONTEXT_TOKENS = 8_192


def make_tokenizer(pieces: Sequence[str]) -> PreTrainedTokenizerFast:
    """Train a byte-level tokenizer on a few lines; each piece of the reply is one token."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        LINES,
        trainers.BpeTrainer(vocab_size=300, special_tokens=list(MARKS), initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.add_tokens([AddedToken(piece, normalized=False) for piece in pieces])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token=MARKS[0], pad_token=MARKS[0])
    fast.add_special_tokens({"additional_special_tokens": list(MARKS[1:])})
    fast.chat_template = TEMPLATE
    return fast


def make_model(folder: Path, pieces: Sequence[str], *, repeat: bool = False) -> Path:
    """Save a model that answers anything with `pieces`, each given once; or says them again and again."""
    tokenizer = make_tokenizer(pieces)
    size = len(tokenizer) + -len(tokenizer) % 8
    config = LlamaConfig(
        vocab_size=size, hidden_size=size, intermediate_size=8, num_hidden_layers=1, num_attention_heads=4,
        max_position_embeddings=CONTEXT_TOKENS, tie_word_embeddings=False,
        bos_token_id=None, eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    torch.manual_seed(1)
    model = LlamaForCausalLM(config)
    chain = [tokenizer.convert_tokens_to_ids(name) for name in ("<|assistant|>", *pieces)]
    with torch.no_grad():
        # The layer adds nothing, so that each token alone decides the next.
        model.model.layers[0].self_attn.o_proj.weight.zero_()
        model.model.layers[0].mlp.down_proj.weight.zero_()
        model.model.embed_tokens.weight.copy_(torch.eye(size))
        for token, following in zip(chain, [*chain[1:], chain[1] if repeat else tokenizer.eos_token_id], strict=True):
            model.lm_head.weight[following, token] = 10.0
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder
