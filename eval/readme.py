"""Put generated tables into the README, between markers: `<!-- name:begin -->` and `<!-- name:end -->`."""

from pathlib import Path

from eval.results import write_text
from rag.errors import UsageError


def markers(name: str) -> tuple[str, str]:
    """Return the marks before and behind a section."""
    return f"<!-- {name}:begin -->", f"<!-- {name}:end -->"


def split_section(text: str, readme: Path, name: str) -> tuple[str, str, str]:
    """Return what stands before, in and behind a marked section.

    :raises UsageError: when there is not one pair of its markers in order.
    """
    begin, end = markers(name)
    if text.count(begin) != 1 or text.count(end) != 1 or text.index(begin) > text.index(end):
        raise UsageError(f"{readme}: 要有一对 {begin} 和 {end}，表格写在它们中间")
    before, _, rest = text.partition(begin)
    section, _, after = rest.partition(end)
    return before, section.strip("\n"), after


def fill_section(readme: Path, name: str, body: str) -> None:
    """Put a text between the markers of a section.

    :raises UsageError: when the file cannot be read, or a marker is missing.
    """
    try:
        text = readme.read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(f"{readme}: 打不开（{error.strerror}）") from error
    before, _, after = split_section(text, readme, name)
    begin, end = markers(name)
    write_text(readme, f"{before}{begin}\n{body}\n{end}{after}")
