"""Prometheus metrics of a server, in a registry of their own."""

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
EXAMPLES = (1, 2, 4, 8, 16, 32, 64, 128, 256)


class Metrics:
    """Counts requests and batches.

    Attributes:
        accepted: Requests whose headers arrived.
        answered: Requests that got the whole of an answer, or whose client had gone.
    """

    def __init__(self) -> None:
        self.accepted = self.answered = 0
        self._registry = CollectorRegistry(auto_describe=True)
        self._requests = Counter("cnnkit_requests", "Requests, by route and status.", ("route", "status"), registry=self._registry)
        self._errors = Counter("cnnkit_errors", "Requests answered with a status of 500 or above.", ("route",), registry=self._registry)
        self._seconds = Histogram(
            "cnnkit_request_seconds", "Time from a request to its answer.", ("route",), buckets=SECONDS, registry=self._registry
        )
        self._series: dict[tuple[str, int], tuple[Counter, Histogram]] = {}
        self._batches = Histogram("cnnkit_batch_examples", "Examples in a batch.", buckets=EXAMPLES, registry=self._registry)

    def observe_value(self, name: str, text: str, value: Callable[[], float]) -> None:
        """Add a gauge whose value is asked for at each scrape."""
        Gauge(name, text, registry=self._registry).set_function(value)

    def on_request(self, route: str, status: int, seconds: float) -> None:
        """Count a request.

        Args:
            route: The route's template, never the path itself, so that the number of series is bounded.
            status: Of the answer.
            seconds: From the headers of the request to the end of the answer.
        """
        series = self._series.get((route, status))
        if series is None:
            series = self._series[route, status] = self._requests.labels(route, str(status)), self._seconds.labels(route)
        series[0].inc()
        series[1].observe(seconds)
        if status >= 500:
            self._errors.labels(route).inc()

    def on_batch(self, examples: int) -> None:
        """Count a batch."""
        self._batches.observe(examples)

    def text(self) -> bytes:
        """All metrics in Prometheus's text format."""
        return generate_latest(self._registry)
