"""The results of a benchmark of formats."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from cnnkit.metrics import MetricValue


@dataclass(frozen=True)
class BenchmarkRow:
    """One format and quantization.

    Attributes:
        format: Name of the format.
        label: Format and quantization as people call them.
        quantization: `int8`, `float16`, or empty for float32.
        size: Bytes of its files.
        median: Milliseconds for one example, median.
        percentile_95: Milliseconds for one example, 95th percentile.
        images_per_second: Examples per second in batches.
        metric: The headline metric; None where the data is not available.
        memory: Largest resident size of its process, in bytes.
        start_up: Seconds from the start of the process to its first answer.
    """

    format: str
    label: str
    quantization: str
    size: int
    median: float
    percentile_95: float
    images_per_second: float
    metric: MetricValue | None
    memory: int
    start_up: float

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        metric = self.metric
        return {
            "format": self.format,
            "quantization": self.quantization or None,
            "bytes": self.size,
            "one_image_ms": {"median": self.median, "percentile_95": self.percentile_95},
            "images_per_second": self.images_per_second,
            "metric": None
            if metric is None
            else {
                "name": metric.metric.name,
                "value": metric.value,
                "low": metric.interval and metric.interval[0],
                "high": metric.interval and metric.interval[1],
            },
            "peak_memory_bytes": self.memory,
            "start_up_seconds": self.start_up,
        }


@dataclass(frozen=True)
class LeftOut:
    """A format that was not measured: why, and what to do about it."""

    label: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Benchmark:
    """All results.

    Attributes:
        name: Of the run or the model.
        rows: A row for each format and quantization, the Keras model first.
        left_out: Those that were not measured.
        threads: Threads of each runtime.
        batch: Examples in a batch.
        rounds: Processes for each row.
        examples: On how many the metric was measured.
        split: Which these are.
        notices: Notices for the user.
        folder: The run's folder, where `benchmark.json` and `benchmark.png` are; None outside of a run.
    """

    name: str
    rows: tuple[BenchmarkRow, ...]
    left_out: tuple[LeftOut, ...]
    threads: int
    batch: int
    rounds: int
    examples: int
    split: str
    notices: tuple[str, ...] = ()
    folder: Path | None = None

    @property
    def slower(self) -> tuple[tuple[str, float], ...]:
        """Label of each quantized row that is slower than float32 of the same format, and how many times as fast it is, below 1."""
        full = {row.format: row.median for row in self.rows if not row.quantization}
        ratios = [(row.label, round(full[row.format] / row.median, 2)) for row in self.rows if row.quantization and row.format in full]
        return tuple((label, ratio) for label, ratio in ratios if ratio < 1)

    def as_dict(self) -> dict[str, Any]:
        """Ready for JSON."""
        return {
            "name": self.name,
            "threads": self.threads,
            "batch": self.batch,
            "rounds": self.rounds,
            "measured_on": f"{self.examples} {self.split} examples",
            "notices": list(self.notices),
            "rows": [row.as_dict() for row in self.rows],
            "left_out": [asdict(each) for each in self.left_out],
        }
