"""What the README shows is what the program prints."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_answer_in_the_readme_is_the_real_one(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rag.ask", "--index", str(tmp_path), "为什么要除以根号dk"]
    shown = README.split('$ make ask Q="为什么要除以根号dk"\n')[1].split("\n\n$ make test")[0]
    printed = subprocess.run(command, capture_output=True, text=True, encoding="utf-8", cwd=ROOT, check=True).stdout
    assert printed.strip() == shown.strip()


def test_the_readme_and_the_model_card_show_the_same_table() -> None:
    card = (ROOT / "rag" / "models" / "MODEL_CARD.md").read_text(encoding="utf-8")
    tables = [[line for line in text.splitlines() if line.startswith("| notes")] for text in (README, card)]
    assert tables[0] == tables[1] != []


def test_every_command_and_file_the_readme_names_exists() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    for target in ("ask", "chat", "serve", "test", "bench", "eval"):
        assert f"make {target}" in README
        assert f"\n{target}:" in makefile
    for path in (
        "docs/img/source-light.png",
        "docs/serve.md",
        "docs/security.md",
        "docs/llamaindex.md",
        "docs/scale-out.md",
        "docs/parsing.md",
        "docs/adr",
        "rag/models/MODEL_CARD.md",
        "corpus/NOTICE",
        "constraints.txt",
    ):
        assert path.rsplit("/", 1)[-1] in README
        assert (ROOT / path).exists()
