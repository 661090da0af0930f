"""Compare two results query by query: paired bootstrap of the mean difference."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from eval.judge import RANKING_MEASURES, VALUES
from eval.measure import compare_paired
from eval.results import Result, read_result
from eval.tables import format_rows, name_category, name_measure
from rag.errors import UsageError


@dataclass(frozen=True, slots=True)
class Difference:
    """How much the second result is better than the first, in one measure over the same queries."""

    measure: str
    category: str
    """Empty for all queries."""
    n: int
    mean: float
    low: float
    high: float

    @property
    def sure(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low > 0 or self.high < 0


def compare_files(first: Path, second: Path) -> list[Difference]:
    """Compare two result files: all measures overall, the first ranking measure by category.

    :raises UsageError: when a file is no result, or they are of different queries.
    """
    one, other = read_result(first), read_result(second)
    if one.queries != other.queries or one.split != other.split:
        raise UsageError(f"{first} 和 {second}: 不是同一组问题的结果，没法逐题比较；用同样的数据和 --split 重跑")
    return list(compare_results(one, other))


def compare_results(first: Result, second: Result) -> Iterator[Difference]:
    """Compare two results of the same queries; a query counts where both have the measure."""
    for measure in VALUES:
        yield from _compare(first, second, measure, "")
    for category in sorted({record.category for record in first.records}):
        yield from _compare(first, second, RANKING_MEASURES[0], category)


def _compare(first: Result, second: Result, measure: str, category: str) -> Iterator[Difference]:
    one, other = _values(first, measure, category), _values(second, measure, category)
    common = [query for query in one if query in other]
    if common:
        mean, (low, high) = compare_paired({key: one[key] for key in common}, {key: other[key] for key in common})
        yield Difference(measure, category, len(common), mean, low, high)


def _values(result: Result, measure: str, category: str) -> Mapping[str, float]:
    return {
        record.id: record.values[measure]
        for record in result.records
        if measure in record.values and category in ("", record.category)
    }


def format_differences(differences: list[Difference]) -> str:
    """Write the comparison as a Markdown table, in points of 100."""
    rows = [
        (
            f"{name_measure(one.measure)}（{name_category(one.category) if one.category else '全部'}）",
            str(one.n),
            f"{100 * one.mean:+.1f}",
            f"{100 * one.low:+.1f} 到 {100 * one.high:+.1f}",
            ("更好" if one.mean > 0 else "更差") if one.sure else "分不出",
        )
        for one in differences
    ]
    return format_rows(("指标", "题数", "差（后减前）", "95% 区间", "结论"), rows)
