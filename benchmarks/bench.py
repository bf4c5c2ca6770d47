"""Measure cnnkit beside its alternatives, in turns, and write benchmarks/RESULTS.md.

    python benchmarks/bench.py                       # all sections; 10 epochs of CIFAR-10 ten times take most of the time
    python benchmarks/bench.py startup --pairs 5     # one section; the others in RESULTS.md stay

Set KERAS_HOME to a folder with datasets/cifar10.npz on a machine without a network; the section `transfer` also wants MobileNetV2's
weights in its models. Over 300 lines: one function a section, and what they all measure with.
"""

import argparse
import csv
import datetime
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from cnnkit.keras_api.downloads import keras_home
from cnnkit.training.environment import processor_name

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "RESULTS.md"
PLAIN = ROOT / "benchmarks" / "plain_keras.py"
PLAIN_TRANSFER = ROOT / "benchmarks" / "plain_transfer.py"
CNNKIT = [sys.executable, "-m", "cnnkit"]
MAXRSS_PER_MB = 1024**2 if sys.platform == "darwin" else 1024  # getrusage counts bytes there, kilobytes elsewhere


@dataclass(frozen=True)
class Options:
    """What the command line sets: pairs of runs in each comparison, epochs where something is trained, and the load on servers."""

    pairs: int
    epochs: int
    seconds: float
    requests: int


@dataclass(frozen=True)
class Run:
    """One finished process: seconds of wall and processor time, its largest resident size in MB, and what it printed."""

    wall: float
    cpu: float
    memory: float
    output: str


def run(command: list[str], *, status: int = 0) -> Run:
    """Run a command to its end and measure it from outside."""
    with tempfile.TemporaryFile("w+") as output, tempfile.TemporaryFile("w+") as errors:
        started = time.perf_counter()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, cwd=ROOT)
        _, code, usage = os.wait4(process.pid, 0)
        wall = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(code)
        output.seek(0)
        errors.seek(0)
        text, complaints = output.read(), errors.read()
    if process.returncode != status:
        raise SystemExit(f"{' '.join(command)} ended with {process.returncode}, not {status}:\n{text[-1000:]}{complaints[-2000:]}")
    return Run(wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / MAXRSS_PER_MB, text)


def spread(values: list[float], digits: int = 2) -> str:
    """`median (min to max)`."""
    return f"{statistics.median(values):,.{digits}f} ({min(values):,.{digits}f} to {max(values):,.{digits}f})"


def table(header: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def ratio_row(name: str, ours: list[float], theirs: list[float], digits: int = 2) -> list[str]:
    """A row with both medians and the median of the ratios pair by pair."""
    ratios = [a / b for a, b in zip(ours, theirs, strict=True)]
    return [name, spread(ours, digits), spread(theirs, digits), spread(ratios)]


def bench_startup(options: Options) -> str:
    """Commands against `import tensorflow`."""
    with tempfile.TemporaryDirectory() as folder:
        wrong = Path(folder, "wrong.yaml")
        wrong.write_text((ROOT / "configs/cifar.yaml").read_text().replace("filters: 32", "filtres: 32"))
        commands: dict[str, tuple[list[str], int]] = {
            "cnnkit --help": ([*CNNKIT, "--help"], 0),
            "cnnkit check, wrong name": ([*CNNKIT, "check", str(wrong)], 1),
            "cnnkit check, good": ([*CNNKIT, "check", "configs/cifar.yaml"], 0),
            "cnnkit summary": ([*CNNKIT, "summary"], 0),
        }
        reference = [sys.executable, "-c", "import tensorflow"]
        for command, status in [*commands.values(), (reference, 0)]:  # warm up: files into memory, the signature table made
            run(command, status=status)
        seconds: dict[str, list[float]] = {name: [] for name in commands}
        imports = []
        for _ in range(options.pairs):
            imports.append(run(reference).wall)
            for name, (command, status) in commands.items():
                seconds[name].append(run(command, status=status).wall)
    rows = [ratio_row(name, values, imports) for name, values in seconds.items()]
    return table(["command", "seconds", '`python -c "import tensorflow"`', "ratio"], rows)


def bench_train(options: Options) -> str:
    """`cnnkit train configs/cifar.yaml` against the plain script, as whole processes and inside the epochs."""
    ours: list[Run] = []
    theirs: list[Run] = []
    rates: tuple[list[list[float]], list[list[float]]] = ([], [])  # a list of epochs for each run
    accuracies: tuple[list[float], list[float]] = ([], [])
    saving: list[float] = []  # share of the whole process that went into checkpoints
    train = [*CNNKIT, "train", "configs/cifar.yaml", "--set", f"train.epochs={options.epochs}"]
    train += ["--set", "data.fallback=null"]  # a comparison with CIFAR-10 must not run on the stand-in
    for _ in range(options.pairs):
        with tempfile.TemporaryDirectory() as folder:
            theirs.append(run([sys.executable, str(PLAIN), str(options.epochs), folder]))
            told = json.loads(theirs[-1].output.splitlines()[-1])
            rates[1].append(told["images_per_second"])
            accuracies[1].append(told["accuracy"])
            target = Path(folder, "run")
            ours.append(run([*train, "--run-dir", str(target)]))
            with (target / "history.csv").open() as file:
                rates[0].append([float(row["images_per_second"]) for row in csv.DictReader(file)])
            accuracies[0].append(json.loads((target / "metrics.json").read_text())["accuracy"])
            saving.append(json.loads((target / "environment.json").read_text())["checkpoint_seconds"] / ours[-1].wall)
    ours_first, theirs_first = ([epochs[0] for epochs in side] for side in rates)
    rows = [
        ratio_row("whole process, seconds", [r.wall for r in ours], [r.wall for r in theirs], 1),
        ratio_row("processor time, seconds", [r.cpu for r in ours], [r.cpu for r in theirs], 1),
        ratio_row("peak memory, MB", [r.memory for r in ours], [r.memory for r in theirs], 0),
        ratio_row("images/s inside the first epoch, tracing included", ours_first, theirs_first, 0),
    ]
    if options.epochs > 1:
        ours_later, theirs_later = ([statistics.median(epochs[1:]) for epochs in side] for side in rates)
        rows.append(ratio_row("images/s inside the later epochs", ours_later, theirs_later, 0))
    rows.append(ratio_row(f"test accuracy after {options.epochs} epochs", *accuracies, 4))
    shares = spread([100 * share for share in saving])
    return (
        table(["", "cnnkit", "plain Keras", "ratio"], rows)
        + f"\n\nCheckpoints at every epoch's end took {shares} % of the whole process; plain Keras wrote none."
    )


def bench_devices(options: Options) -> str:
    """Two workers of one core each against one worker of one core."""
    import devices

    epochs = max(2, options.epochs)  # the first one traces
    rows = []
    for name in ("resnet", "cifar"):
        two, one = devices.compare(f"configs/{name}.yaml", options.pairs, epochs)
        rows.append(ratio_row(f"configs/{name}.yaml", two, one, 0))
    return table(["images/s inside the later epochs", "two workers", "one worker", "ratio"], rows)


TRANSFER = """
name: transfer
data: {npz: images.npz, split: split, test: 0.0, batch_size: 32}
model:
  base: MobileNetV2
  image_size: 100
  head: [GlobalAveragePooling2D, {Dropout: {rate: 0.2}}, {Dense: {units: outputs, activation: softmax}}]
train: {epochs: EPOCHS, optimizer: {Adam: {learning_rate: 1e-3}}}
"""


def bench_transfer(options: Options) -> str:
    """A head on a frozen MobileNetV2: features computed once against the base run through again every epoch."""
    import numpy as np

    ours: list[Run] = []
    theirs: list[Run] = []
    accuracies: tuple[list[float], list[float]] = ([], [])
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        with np.load(keras_home() / "datasets" / "cifar10.npz") as data:
            images, labels = data["x_train"][:4000], data["y_train"][:4000].reshape(-1)
        split = np.where(np.arange(4000) % 10, "train", "validation")
        np.savez(folder / "images.npz", x=images, y=labels, split=split)
        (folder / "transfer.yaml").write_text(TRANSFER.replace("EPOCHS", str(options.epochs)))
        for pair in range(options.pairs):
            plain = [sys.executable, str(PLAIN_TRANSFER), str(options.epochs), "100", str(folder / "images.npz"), scratch]
            theirs.append(run(plain))
            accuracies[1].append(json.loads(theirs[-1].output.splitlines()[-1])["accuracy"])
            target = folder / f"run-{pair}"
            ours.append(run([*CNNKIT, "train", str(folder / "transfer.yaml"), "--run-dir", str(target)]))
            accuracies[0].append(json.loads((target / "metrics.json").read_text())["accuracy"])
    rows = [
        ratio_row("whole process, seconds", [r.wall for r in ours], [r.wall for r in theirs], 1),
        ratio_row("processor time, seconds", [r.cpu for r in ours], [r.cpu for r in theirs], 1),
        ratio_row("peak memory, MB", [r.memory for r in ours], [r.memory for r in theirs], 0),
        ratio_row(f"validation accuracy after {options.epochs} epochs", *accuracies, 4),
    ]
    return table(["", "cnnkit", "plain Keras", "ratio"], rows)


DISK_PASSES = """
import json, resource, sys, time
kind, folder, passes = sys.argv[1], sys.argv[2], int(sys.argv[3])
if kind == "cnnkit":
    from pathlib import Path
    from cnnkit.config.schema import Data
    from cnnkit.data.sources.folder import open_folder
    from cnnkit.data.pipeline import BatchSource
    from cnnkit.data.source import Request
    options = json.loads(sys.argv[4])
    source = open_folder(Data(folder=folder, image_size=160, validation=0.0, test=0.0, **options))
    source._checked = lambda request: ([], [])  # the look at all files is measured by itself
    train = source.load(Request(1, Path(folder).parent, ())).train
    batches, count = BatchSource(train, 32).in_order, len(train)
else:
    import keras, tensorflow as tf
    dataset = keras.utils.image_dataset_from_directory(folder, image_size=(160, 160), batch_size=32, verbose=False)
    count = sum(1 for _ in dataset.file_paths)
    dataset = dataset.prefetch(tf.data.AUTOTUNE)
    batches = lambda: dataset
import tensorflow as tf
for _ in tf.data.Dataset.range(3): pass
rates, peaks = [], []
for _ in range(passes):
    start = time.perf_counter()
    for batch in batches(): pass
    rates.append(count / (time.perf_counter() - start))
    peaks.append(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
print(json.dumps({"rates": rates, "peaks": peaks}))
"""


def photos(folder: Path, count: int = 2000) -> Path:
    """A folder of JPEGs of 500x375 in two classes: smooth noise with detail, compressed as photographs are."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for label in ("a", "b"):
        (folder / label).mkdir(parents=True)
    for index in range(count):
        coarse = Image.fromarray(random.integers(0, 255, (24, 32, 3), np.uint8)).resize((500, 375), Image.Resampling.BICUBIC)
        pixels = np.asarray(coarse, np.int16) + random.integers(-12, 12, (375, 500, 3), np.int16)
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(folder / "ab"[index % 2] / f"{index}.jpg", quality=90)
    return folder


def bench_disk(options: Options) -> str:
    """Passes over 2,000 JPEGs of 500x375 brought to 160x160: the first one, and later ones."""
    ours: list[dict[str, list[float]]] = []
    theirs: list[dict[str, list[float]]] = []
    with tempfile.TemporaryDirectory() as scratch:
        folder = photos(Path(scratch, "photos"))

        def passes(kind: str, **entries: object) -> dict[str, list[float]]:
            told = run([sys.executable, "-c", DISK_PASSES, kind, str(folder), "4", json.dumps(entries)]).output
            result: dict[str, list[float]] = json.loads(told.strip().splitlines()[-1])
            return result

        for _ in range(options.pairs):
            theirs.append(passes("keras"))
            ours.append(passes("cnnkit"))
        decoded = 2000 * 160 * 160 * 3
        small = passes("cnnkit", cache="auto", cache_memory=decoded // 4)
        least = passes("cnnkit", cache="none")
    ours_later, theirs_later = ([statistics.median(each["rates"][1:]) for each in side] for side in (ours, theirs))
    rows = [
        ratio_row("first pass, images/s", [each["rates"][0] for each in ours], [each["rates"][0] for each in theirs], 0),
        ratio_row("later passes, images/s", ours_later, theirs_later, 0),
    ]
    peaks = ", ".join(f"{peak:,.0f}" for peak in small["peaks"])
    flat = ", ".join(f"{peak:,.0f}" for peak in least["peaks"])
    return (
        table(["", "cnnkit", "`image_dataset_from_directory`, prefetched", "ratio"], rows)
        + f"\n\nPeak memory after each of 4 passes with `cache_memory` a quarter of the {decoded / 2**20:,.0f} MB of decoded images: "
        f"{peaks} MB; "
        f"without a cache: {flat} MB. "
        f"Later passes then ran at {statistics.median(small['rates'][1:]):,.0f} images/s."
    )


def tiny_pictures(folder: Path, count: int) -> Path:
    """A folder of smooth PNGs of 32x32 in two classes."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(0)
    for index in range(count):
        path = folder / "ab"[index % 2] / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        coarse = Image.fromarray(random.integers(0, 255, (8, 8, 3), np.uint8))
        coarse.resize((32, 32), Image.Resampling.BICUBIC).save(path)
    return folder


def bench_check(options: Options) -> str:
    """`cnnkit data check` on 10,000 small images."""
    with tempfile.TemporaryDirectory() as scratch:
        tiny_pictures(Path(scratch, "small"), 10_000)
        config = Path(scratch, "small.yaml")
        config.write_text("data: {folder: small}\nmodel: {layers: [Flatten, {Dense: {units: outputs, activation: softmax}}]}\n")
        seconds = [run([*CNNKIT, "data", "check", str(config)]).wall for _ in range(options.pairs)]
    return f"`cnnkit data check` on 10,000 images of 32x32, whole process: {spread(seconds)} s."


PREDICT_MODELS = """
import sys
from pathlib import Path
import keras
from cnnkit.data.binding import load
from cnnkit.model.compile import build_and_compile
folder = Path(sys.argv[1])
build_and_compile(load([Path("configs/cifar.yaml")])).model.save(folder / "small.keras")
inputs = keras.Input((160, 160, 3))
base = keras.applications.MobileNetV2(input_shape=(160, 160, 3), weights=None, include_top=False, pooling="avg")
features = base(keras.layers.Rescaling(1 / 127.5, -1)(inputs))
keras.Model(inputs, keras.layers.Dense(10, "softmax")(features)).save(folder / "large.keras")
"""

PREDICT_RATE = """
import json, sys, time
from pathlib import Path
import numpy as np
import tensorflow
from cnnkit.prediction.inputs import find_inputs
from cnnkit.prediction.predict import Predictor, predict
side, model, source = sys.argv[1:]
predictor, inputs = Predictor(Path(model)), find_inputs([source], None, [])
if side == "cnnkit":
    start = time.perf_counter()
    count = sum(1 for _ in predict(predictor, inputs))
else:
    array = np.stack([each.read() for each in inputs[0].examples(predictor.input_shape, predictor.image_reader)])
    network = predictor.opened.keras_model
    start = time.perf_counter()
    count = len(network.predict(array, batch_size=predictor.batch_size, verbose=0))
print(json.dumps(count / (time.perf_counter() - start)))
"""


def bench_predict(options: Options) -> str:
    """One picture against `import tensorflow`; many against the same network on an array in memory."""
    import numpy as np

    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        run([sys.executable, "-c", PREDICT_MODELS, scratch])
        tiny = tiny_pictures(folder / "tiny", 10_000)
        np.savez(folder / "tiny.npz", x=np.random.default_rng(0).integers(0, 256, (10_000, 32, 32, 3), np.uint8))
        large = photos(folder / "photos")
        one = [*CNNKIT, "predict", str(folder / "small.keras"), str(tiny / "a/0.png")]
        imports = [sys.executable, "-c", "import tensorflow"]
        run(one), run(imports)  # files into memory
        pairs = [(run(imports).wall, run(one).wall) for _ in range(options.pairs)]
        rows = [ratio_row("one picture of 32x32, whole process, seconds", [b for _, b in pairs], [a for a, _ in pairs])]

        def rates(model: str, source: Path) -> tuple[list[float], list[float]]:
            ours, theirs = [], []
            for _ in range(options.pairs):
                for side, found in (("Keras", theirs), ("cnnkit", ours)):
                    found.append(float(run([sys.executable, "-c", PREDICT_RATE, side, str(folder / model), str(source)]).output))
            return ours, theirs

        small, mobilenet = "the network of configs/cifar.yaml", "MobileNetV2 at 160x160"
        rows.append(ratio_row(f"10,000 rows of an npz, {small}, images/s", *rates("small.keras", folder / "tiny.npz"), 0))
        rows.append(ratio_row(f"10,000 PNGs of 32x32, {small}, images/s", *rates("small.keras", tiny), 0))
        rows.append(ratio_row(f"2,000 JPEGs of 500x375, {mobilenet}, images/s", *rates("large.keras", large), 0))
        written = ["--output", str(folder / "out.csv")]
        peaks = [run([*CNNKIT, "predict", *names, *written]).memory for names in (
            (str(folder / "small.keras"), str(tiny)), (str(folder / "large.keras"), *[str(large)] * 5),
        )]  # fmt: skip
    return (
        table(["", "cnnkit", "`import tensorflow`, or `model.predict` on an array in memory", "ratio"], rows)
        + f"\n\nPeak memory of `cnnkit predict` over the 10,000 PNGs: {peaks[0]:,.0f} MB; over the JPEGs five times, 10,000 in all: "
        f"{peaks[1]:,.0f} MB. Decoding shares the processor with the network: the cheaper the network, the more it shows."
    )


def bench_export(options: Options) -> str:
    """Parity on CIFAR-10 in float32 and int8; one image in each format; `cnnkit predict` through ONNX against `import tensorflow`."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        parity: list[list[str]] = []
        for name in ("cifar", "cifar-transfer"):
            train = [*CNNKIT, "train", f"configs/{name}.yaml", "--set", f"train.epochs={options.epochs}", "--set", "data.fallback=null"]
            run([*train, "--run-dir", str(folder / name)])
            parity += export_rows(folder / name)
        measured = [*CNNKIT, "benchmark", str(folder / "cifar"), "--rounds", str(options.pairs), "--json"]
        told = json.loads(run(measured).output)
        keras = next(row for row in told["rows"] if row["format"] == "keras")
        speed = [
            [
                " ".join(part for part in (row["format"], row["quantization"]) if part),
                f"{1000 / row['one_image_ms']['median']:,.0f}",
                f"{keras['one_image_ms']['median'] / row['one_image_ms']['median']:.1f}",
                f"{row['images_per_second']:,.0f}",
                f"{row['peak_memory_bytes'] / 1e6:,.0f}",
                f"{row['start_up_seconds']:.2f}",
            ]
            for row in told["rows"]
        ]
        picture = tiny_pictures(folder / "pictures", 1) / "a" / "0.png"
        one, imports = [*CNNKIT, "predict", str(folder / "cifar/model.onnx"), str(picture)], [sys.executable, "-c", "import tensorflow"]
        run(one), run(imports)  # files into memory
        pairs = [(run(imports).wall, run(one).wall) for _ in range(options.pairs)]
    process = ratio_row("`cnnkit predict model.onnx 0.png`, whole process, seconds", [b for _, b in pairs], [a for a, _ in pairs])
    header = ["config", "file", "size against float32", "largest difference", "agreement", "accuracy", "accuracy in Keras"]
    return "\n\n".join((
        table(header, parity),
        f"The network of configs/cifar.yaml with {told['threads']} threads, in turns; a batch has {told['batch']} images.",
        table(["", "one image at a time, images/s", "× Keras graph", "images/s in batches", "peak memory, MB", "start-up, s"], speed),
        table(["", "cnnkit", '`python -c "import tensorflow"`', "ratio"], [process]),
    ))  # fmt: skip


def export_rows(folder: Path) -> list[list[str]]:
    """A run exported to ONNX and LiteRT, in float32 and int8: a row for each file."""
    sizes: dict[str, int] = {}
    rows = []
    for quantization in ("", "int8"):
        wanted = ["--quantize", quantization, "--tolerance", "1"] if quantization else []  # the table tells what is lost
        for told in json.loads(run([*CNNKIT, "export", str(folder), "--format", "onnx,litert", *wanted, "--json"]).output):
            size, parity = sizes.setdefault(told["format"], told["bytes"]), told["parity"]
            rows.append([
                folder.name, f"{told['format']} {quantization}".strip(), f"{told['bytes'] / size:.2f}",
                f"{parity['largest_difference']:.2g}", f"{100 * parity['agreement']:.2f} %",
                f"{parity['exported']:.4f}", f"{parity['keras']:.4f}",
            ])  # fmt: skip
    return rows


def bench_serve(options: Options) -> str:
    """`cnnkit serve` under load."""
    import serving

    return serving.bench_serve(options.pairs, options.seconds, options.requests, table)


@dataclass(frozen=True)
class Section:
    """A part of RESULTS.md: its heading, what measures it, and whether `--epochs`, or `--seconds` and `--requests`, count in it."""

    title: str
    measure: Callable[[Options], str]
    trains: bool
    is_load: bool = False


SECTIONS = {
    "startup": Section("Start-up", bench_startup, trains=False),
    "check": Section("10,000 small images looked at", bench_check, trains=False),
    "predict": Section("Prediction", bench_predict, trains=False),
    "export": Section("Exported models of CIFAR-10", bench_export, trains=True),
    "serve": Section("The server under load", bench_serve, trains=False, is_load=True),
    "disk": Section("Images from disk", bench_disk, trains=False),
    "transfer": Section(
        "4,000 images of CIFAR-10 at 100 px on a frozen MobileNetV2: `cnnkit train` and `benchmarks/plain_transfer.py`",
        bench_transfer,
        trains=True,
    ),
    "devices": Section("Two workers of one core each, and one worker of one core", bench_devices, trains=True),
    "train": Section("CIFAR-10: `cnnkit train configs/cifar.yaml` and `benchmarks/plain_keras.py`", bench_train, trains=True),
}


def machine() -> str:
    """What the figures hold for."""
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1024**3
    return (
        f"{processor_name()}, {os.cpu_count()} cores, {gigabytes:.0f} GB; {platform.system()} {platform.release()}; "
        f"Python {platform.python_version()}, TensorFlow {version('tensorflow')}, Keras {version('keras')}"
    )


def write(name: str, text: str) -> None:
    """Put a section's text into RESULTS.md, the other sections as they were."""
    kept = RESULTS.read_text().split("\n## ")[1:] if RESULTS.exists() else []
    sections = {part.partition("\n")[0]: part.partition("\n")[2] for part in kept}
    sections[SECTIONS[name].title] = text
    order = [section.title for section in SECTIONS.values() if section.title in sections]
    RESULTS.write_text("\n## ".join(["# Measured\n", *(f"{title}\n{sections[title].rstrip()}\n" for title in order)]))


def main() -> None:
    """Run the sections asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sections", nargs="*", metavar="SECTION", help=f"of {', '.join(SECTIONS)}; all where none is named")
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=60.0, help="of each load on a server")
    parser.add_argument("--requests", type=int, default=100_000, help="over which a server's memory is watched")
    arguments = parser.parse_args()
    if unknown := set(arguments.sections) - set(SECTIONS):
        parser.error(f"no section {', '.join(sorted(unknown))}: there are {', '.join(SECTIONS)}")
    if min(arguments.pairs, arguments.epochs, arguments.seconds, arguments.requests) < 1:
        parser.error("--pairs, --epochs, --seconds and --requests want 1 or more")
    options = Options(arguments.pairs, arguments.epochs, arguments.seconds, arguments.requests)
    for name in arguments.sections or SECTIONS:
        section = SECTIONS[name]
        result = section.measure(options)
        command = f"python benchmarks/bench.py {name} --pairs {options.pairs}"
        if section.trains:
            command += f" --epochs {options.epochs}"
        if section.is_load:
            command += f" --seconds {options.seconds:g} --requests {options.requests}"
        today = datetime.datetime.now(tz=datetime.UTC).date()
        told = f"Median (smallest to largest) of {options.pairs} runs of each, in turns; a ratio is taken pair by pair."
        text = f"\n`{command}` on {today}; {machine()}. {told}\n\n{result}\n"
        write(name, text)
        print(text)


if __name__ == "__main__":
    main()
