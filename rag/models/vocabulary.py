"""Build the student's vocabulary: the teacher's word pieces, and Chinese words and characters.

A run of Chinese characters is cut by WordPiece's greedy longest match into the words listed here, else into single
characters. A word has one embedding row wherever it stands in the run: `注意力` and `##注意力` share an id. So do a
simplified character and its traditional form.
"""

import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from tokenizers import Tokenizer

from rag.models.data import Corpus

SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
MIN_PIECE_COUNT = 2
MIN_CHARACTER_COUNT = 12
MIN_WORD_COUNT = 40
MAX_WORDS = 10_000
MAX_WORD_CHARS = 5
MAX_SHORT_CHARS = 24
"""Aligned pairs up to this long tell which English piece a Chinese token stands for."""
TOP_PIECES = 6
CJK = re.compile(r"[\u4e00-\u9fff]+")


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """Token lists; ids run through the specials and pieces first, then the Chinese tokens."""

    pieces: list[str]
    """The specials, then the word pieces kept from the teacher."""
    chinese: list[str]
    """Characters, then words."""
    traditional: dict[str, str]
    """Traditional character to the simplified one whose row it shares."""

    def tokenizer(self, *, with_words: bool = True) -> Tokenizer:
        """Make the tokenizer; without words, every Chinese character is a token of its own."""
        return Tokenizer.from_str(self.to_json(with_words=with_words))

    def to_json(self, *, with_words: bool = True) -> str:
        """Write the tokenizer in the format of the `tokenizers` library."""
        ids = {piece: row for row, piece in enumerate(self.pieces)}
        for row, token in enumerate(self.chinese, start=len(self.pieces)):
            if with_words or len(token) == 1:
                ids[token] = ids["##" + token] = row
        for old, new in self.traditional.items():
            ids[old] = ids["##" + old] = ids[new]
        characters = [token for token in self.chinese if len(token) == 1] + list(self.traditional)
        return json.dumps(_tokenizer_spec(ids, characters), ensure_ascii=False)


def _tokenizer_spec(ids: dict[str, int], characters: list[str]) -> dict[str, Any]:
    """Describe the tokenizer in the format of the `tokenizers` library."""
    known_run = {"Regex": "[" + "".join(sorted(characters)) + "]{1,64}"}
    special = [
        {
            "id": ids[name],
            "content": name,
            "special": True,
            "single_word": False,
            "lstrip": False,
            "rstrip": False,
            "normalized": False,
        }
        for name in SPECIALS
    ]
    bert = {"clean_text": True, "handle_chinese_chars": False, "strip_accents": None, "lowercase": True}
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": {"type": "Sequence", "normalizers": [{"type": "NFKC"}, {"type": "BertNormalizer", **bert}]},
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "BertPreTokenizer"},
                {"type": "Split", "pattern": known_run, "behavior": "Isolated", "invert": False},
            ],
        },
        "post_processor": {
            "type": "BertProcessing",
            "sep": ["[SEP]", ids["[SEP]"]],
            "cls": ["[CLS]", ids["[CLS]"]],
        },
        "decoder": None,
        "model": {
            "type": "WordPiece",
            "unk_token": "[UNK]",
            "continuing_subword_prefix": "##",
            "max_input_chars_per_word": 100,
            "vocab": ids,
        },
    }


def _count_pieces(teacher: Tokenizer, texts: Iterable[str]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for encoding in teacher.encode_batch(list(texts), add_special_tokens=False):
        counts.update(encoding.tokens)
    return counts


def _count_words(texts: Iterable[str]) -> Counter[str]:
    import jieba

    counts: Counter[str] = Counter()
    for text in texts:
        for run in CJK.findall(text):
            counts.update(word for word in jieba.cut(run, HMM=False) if 2 <= len(word) <= MAX_WORD_CHARS)
    return counts


def build_vocabulary(corpus: Corpus, teacher: Tokenizer) -> Vocabulary:
    """Keep the teacher's pieces that occur, and add the frequent Chinese characters and words."""
    import opencc

    zh_texts = [pair.zh for pair in corpus.aligned] + [f"{s.query}\n{s.body}" for s in corpus.sections]
    counts = _count_pieces(teacher, [CJK.sub(" ", text) for text in zh_texts] + [p.en for p in corpus.aligned])
    plain = re.compile(r"(##)?[!-~]")
    pieces = [
        token
        for token, _ in sorted(teacher.get_vocab().items(), key=lambda entry: entry[1])
        if token not in SPECIALS
        and not CJK.search(token)
        and (counts[token] >= MIN_PIECE_COUNT or plain.fullmatch(token))
    ]
    characters = Counter(char for text in zh_texts for char in text if CJK.match(char))
    to_simplified = opencc.OpenCC("t2s").convert
    common = {char for char, count in characters.items() if count >= MIN_CHARACTER_COUNT}
    common = {char for char in common if to_simplified(char) == char}
    words = _count_words(zh_texts)
    for zh, _, count in corpus.lexicon:
        if CJK.fullmatch(zh) and 2 <= len(zh) <= MAX_WORD_CHARS:
            words[zh] += 5 * count
    listed = [word for word, count in words.most_common() if count >= MIN_WORD_COUNT and set(word) <= common]
    every = (chr(code) for code in range(0x4E00, 0xA000))
    traditional = {char: to_simplified(char) for char in every if char not in common and to_simplified(char) in common}
    return Vocabulary([*SPECIALS, *pieces], sorted(common) + listed[:MAX_WORDS], traditional)


def _count_translations(
    corpus: Corpus, tokenizers: list[Tokenizer], teacher: Tokenizer
) -> tuple[dict[int, Counter[int]], Counter[int]]:
    """Count which teacher pieces stand beside each student token in short aligned texts."""
    short = [(pair.zh, pair.en, 1) for pair in corpus.aligned if len(pair.zh) <= MAX_SHORT_CHARS]
    short += [(zh, en, min(count, 20)) for zh, en, count in corpus.lexicon]
    beside: dict[int, Counter[int]] = defaultdict(Counter)
    totals: Counter[int] = Counter()
    english = [set(e.ids) for e in teacher.encode_batch([en for _, en, _ in short], add_special_tokens=False)]
    for pieces, (_, _, weight) in zip(english, short, strict=True):
        for piece in pieces:
            totals[piece] += weight
    for tokenizer in tokenizers:
        chinese = tokenizer.encode_batch([zh for zh, _, _ in short], add_special_tokens=False)
        for encoding, pieces, (_, _, weight) in zip(chinese, english, short, strict=True):
            for token in set(encoding.ids):
                for piece in pieces:
                    beside[token][piece] += weight
    return beside, totals


def initial_rows(
    vocabulary: Vocabulary, corpus: Corpus, teacher: Tokenizer, teacher_rows: npt.NDArray[np.float32]
) -> npt.NDArray[np.float32]:
    """Start every Chinese row from the English pieces most tied to it.

    The tie of token z and piece e is n(z,e)^2 / (n(z) n(e)) over short aligned texts; a row is the mean of its
    six strongest pieces' rows, weighted by the tie. A word never seen there starts from its characters.

    :returns: (n_chinese, dim) float32.
    """
    n_pieces = len(vocabulary.pieces)
    both = [vocabulary.tokenizer(), vocabulary.tokenizer(with_words=False)]
    beside, totals = _count_translations(corpus, both, teacher)
    rows = np.tile(teacher_rows.mean(axis=0), (len(vocabulary.chinese), 1)).astype(np.float32)
    row_of = {token: row for row, token in enumerate(vocabulary.chinese)}
    for token, row in row_of.items():
        near = beside.get(row + n_pieces)
        if near:
            most = max(near.values())
            ties = {piece: count * count / (most * totals[piece]) for piece, count in near.items()}
            best = sorted(ties, key=lambda piece: -ties[piece])[:TOP_PIECES]
            weights = np.array([ties[piece] for piece in best], dtype=np.float32)
            rows[row] = weights @ teacher_rows[best] / weights.sum()
        elif len(token) > 1:
            rows[row] = rows[[row_of[char] for char in token]].mean(axis=0)
    return rows
