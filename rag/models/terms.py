"""Write the reverse dictionary that goes with the shipped encoder: `python -m rag.models.terms`, after a change of either.

The vectors of all descriptions are turned onto their principal axes, of which the first `WIDTH` are kept, and rounded to
8 bits: a third of the size and of the time, and the same terms found.
"""

import hashlib
import json
import sys
from pathlib import Path

import numpy as np
from opencc import OpenCC

from rag.embed import ShippedEncoder
from rag.models.plain import PLAIN, read_terms
from rag.reverse import FILE
from rag.tokenize import normalise

WIDTH = 128


def write_terms(folder: Path, plain: Path = PLAIN) -> None:
    """Embed the descriptions of `plain` by the encoder in `folder`, and write them beside it."""
    encoder = ShippedEncoder(folder)
    terms = read_terms(plain)
    vectors = encoder.embed_passages([description for _, descriptions in terms for description in descriptions])
    _, _, axes = np.linalg.svd(vectors, full_matrices=False)
    kept = axes[:WIDTH].T
    turned = vectors @ kept
    scale = float(np.abs(turned).max()) / 127
    about = {
        "fingerprint": encoder.fingerprint,
        "plain": digest(plain),
        "scale": scale,
        "terms": [(names[0], fold(names)) for names, _ in terms],
    }
    np.savez(
        folder / FILE,
        allow_pickle=False,
        about=np.frombuffer(json.dumps(about, ensure_ascii=False).encode(), dtype=np.uint8),
        starts=np.cumsum([0, *(len(descriptions) for _, descriptions in terms[:-1])], dtype=np.int64),
        vectors=np.round(turned / scale).astype(np.int8),
        axes=kept.astype(np.float16),
    )


def fold(names: list[str]) -> list[str]:
    """Put names in lower case, in simplified and in traditional characters; of one letter there are too many in any text."""
    simplified = [normalise(name).lower() for name in names if len(name) > 1]
    return list(dict.fromkeys([*simplified, *map(OpenCC("s2t").convert, simplified)]))


def digest(plain: Path) -> str:
    """Hash the descriptions, to tell whether the file was made from them."""
    return hashlib.blake2b(plain.read_bytes(), digest_size=8).hexdigest()


if __name__ == "__main__":
    write_terms(Path(__file__).parent)
    sys.exit(0)
