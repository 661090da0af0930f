"""Count what the server does, for Prometheus."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

from rag.types import Answer

BUCKETS_S = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0)


class Metrics:
    """The counters of one server, in a registry of their own."""

    def __init__(self, count_questions: Callable[[], int]) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter("mianjing_requests", "Requests answered", ["route", "status"], registry=self._registry)
        self._seconds = Histogram(
            "mianjing_request_seconds", "Time to the last byte", ["route"], buckets=BUCKETS_S, registry=self._registry
        )
        self.in_flight = Gauge("mianjing_requests_in_flight", "Requests being answered", registry=self._registry)
        self._answers = Counter("mianjing_answers", "Answers written", ["mode"], registry=self._registry)
        self._abstentions = Counter(
            "mianjing_abstentions", "Answers that the notes do not cover", registry=self._registry
        )
        questions = Gauge("mianjing_questions", "Questions in the notes", registry=self._registry)
        questions.set_function(count_questions)
        ProcessCollector(registry=self._registry)

    def count_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request that has ended."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_answer(self, answer: Answer) -> None:
        """Count an answer."""
        self._answers.labels(answer.mode).inc()
        if answer.abstained:
            self._abstentions.inc()

    def to_text(self) -> bytes:
        """Write all counters in Prometheus's text format."""
        return generate_latest(self._registry)
