"""Write `rag/data/words.txt`, the words of everyday language that spelling leaves alone: `python -m rag.models.words`.

They are the whole words of the shipped encoder's vocabulary, so that no dictionary need be loaded to mend a slip.
"""

import json
import re
from importlib.resources import files
from pathlib import Path

from rag.shell import write

OUT = Path(__file__).parent.parent / "data" / "words.txt"
WHOLE = re.compile(r"[a-z]{4,}|[\u4e00-\u9fff]{2,}")


def list_words() -> list[str]:
    """List the whole words of the vocabulary, sorted."""
    tokenizer = json.loads((files("rag.models") / "tokenizer.json").read_text(encoding="utf-8"))
    return sorted(token for token in tokenizer["model"]["vocab"] if WHOLE.fullmatch(token))


if __name__ == "__main__":
    words = list_words()
    OUT.write_text("\n".join(words) + "\n", encoding="utf-8")
    write(f"{OUT}: {len(words)}")
