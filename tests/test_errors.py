"""The error tree."""

import pytest

from rag.errors import RagError


def test_an_error_keeps_its_one_line_message() -> None:
    with pytest.raises(RagError, match="notes.md:3"):
        raise RagError("notes.md:3: 读不懂这一行")
