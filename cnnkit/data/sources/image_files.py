"""ImageFileSource: image files with targets as a data set; infers the size, handles bad files, caches pixels, splits examples."""

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import PIL
import platformdirs

from cnnkit.config.data_spec import DataSpec
from cnnkit.config.schema import Data
from cnnkit.config.task import Task
from cnnkit.data.divide import SplitExamples, split_examples
from cnnkit.data.examples import Dataset, Examples
from cnnkit.data.images.faults import ImageFault
from cnnkit.data.images.header import SUFFIXES, read_header
from cnnkit.data.quality.check import DataReport, check_files, labels_of
from cnnkit.data.rows import ComputedRows, available_memory
from cnnkit.data.source import Request, Source
from cnnkit.errors import CnnkitError, escape_unprintable
from cnnkit.io.atomic import write_json
from cnnkit.io.json_file import read_json
from cnnkit.io.regular_file import require_text_table

Array = npt.NDArray[Any]

MAX_LISTED_FILES = 20  # bad files that an error lists before it counts the rest
SAMPLED_FILES = 64  # files whose headers are read to infer the image size
CHECK_VERSION = 2  # increase when `check_files` or the limits on images change, to invalidate cached results

_BAD_FILES_REMEDY = (
    "Mend or remove them; or leave them out: `cnnkit data check CONFIG --quarantine bad.txt` and `data: {exclude: bad.txt}`; "
    "or go on without them: `data: {on_bad_file: skip}`."
)


@dataclass(frozen=True)
class Listing:
    """Image files with their targets.

    Attributes:
        name: The name its metrics are printed under.
        paths: The files.
        names: Their paths relative to the source, as in the manifest.
        targets: Class indices `(n,)`, labels `(n, labels)` or numbers `(n, outputs)`.
        task: The prediction task.
        splits: The data's own splits `(n,)`, empty texts where undecided; None where it has none.
        groups: Group of each file `(n,)`; None for none.
        notices: Notices for the user, such as skipped folders.
        interpretation: Notice of how ambiguous targets were interpreted; else empty.
    """

    name: str
    paths: Sequence[Path]
    names: Sequence[str]
    targets: Array
    task: Task
    splits: Array | None = None
    groups: Array | None = None
    notices: tuple[str, ...] = ()
    interpretation: str = ""

    def take(self, chosen: Array) -> "Listing":
        """The files at some positions."""
        return replace(
            self,
            paths=[self.paths[i] for i in chosen],
            names=[self.names[i] for i in chosen],
            targets=self.targets[chosen],
            splits=None if self.splits is None else self.splits[chosen],
            groups=None if self.groups is None else self.groups[chosen],
        )


class ImageFileSource(Source):
    """Images in files, listed by a folder or a CSV."""

    def __init__(self, data: Data, listing: Listing) -> None:
        self.listing = _without_excluded(listing, data)
        undecodable = [name for name in (*self.listing.names, *listing.task.names) if not _is_text(name)]
        if undecodable:
            message = (
                f"{len(undecodable)} files or classes have names that are not UTF-8 text, such as {escape_unprintable(undecodable[0])}"
            )
            raise CnnkitError(f"{escape_unprintable(listing.name)}: {message}", "Rename them: a run's manifest and its model name them.")
        if not len(self.listing.paths):
            raise CnnkitError(f"{listing.name}: has no image files", f"Wanted are files that end in {', '.join(SUFFIXES)}.")
        shape = (*_size(data, self.listing), 3 if data.color == "rgb" else 1)
        super().__init__(data, DataSpec(listing.name, shape, listing.task, listing.interpretation))

    @property
    def image_files(self) -> Sequence[Path]:
        """The files."""
        return self.listing.paths

    def all_targets(self) -> tuple[Array, Array]:
        """The listed targets, and the listing's own splits; no file is opened."""
        splits = self.listing.splits
        return self.listing.targets, np.full(len(self.listing.targets), "") if splits is None else splits

    def identity(self, dataset: Dataset, split: str, examples: Examples) -> bytes:
        """The source and the names of the files, independent of the image size."""
        names = [name for name, _, part in dataset.manifest if part == split]
        return "\n".join([self._path, *names]).encode("utf-8", "surrogateescape")

    def load(self, request: Request) -> Dataset:
        """The images, split, and decoded on first use; every file is inspected before, once.

        Raises:
            CnnkitError: Files cannot be read and `on_bad_file` is stop, or files of an earlier run's manifest are missing.
        """
        bad, warnings = self._inspection_result(request)
        if bad and self.data.on_bad_file == "stop":
            raise CnnkitError(_bad_files_message(self.listing.name, bad), _BAD_FILES_REMEDY)
        listing, notices = self.listing, [*self.listing.notices, *warnings]
        if bad:
            names = {name for name, _ in bad}
            listing = listing.take(np.array([i for i, name in enumerate(listing.names) if name not in names], int))
            if not len(listing.paths):
                raise CnnkitError(f"{listing.name}: none of its {len(bad):,} files can be used", _BAD_FILES_REMEDY)
            are = "is" if len(bad) == 1 else "are"
            notices.append(f"{len(bad)} of {len(self.listing.paths)} files cannot be used and {are} left out (data.on_bad_file: skip).")
        parts = self._split(listing, request, self._cache(request))
        manifest = list(zip(listing.names, label_texts(listing.targets, listing.task), map(str, parts.splits), strict=True))
        all_notices = (*notices, *parts.notices)
        return parts.as_dataset(listing.name, listing.task, manifest, all_notices)

    def check(self, request: Request) -> DataReport:
        """Inspect every file and report problems."""
        return self._inspect(request)

    def _inspect(self, request: Request) -> DataReport:
        """Inspect every file; the usable ones are split as in training, which leaves bad files out first."""
        listing = self.listing
        return check_files(
            listing.paths,
            listing.names,
            labels_of(listing.targets, listing.task),
            lambda good: list(map(str, self._split(listing.take(good), request, None).splits)),
            class_names=() if listing.task.is_regression else listing.task.names,
            max_pixels=self.data.max_pixels,
            on_progress=lambda done: request.on_progress(done, len(listing.paths)),
        )

    def _split(self, listing: Listing, request: Request, cache: str | Path | None) -> SplitExamples:
        reader = self.image_reader
        assert reader is not None
        identity = hashlib.sha256(f"{self.spec.input_shape} {self.data.resize}".encode() + self._file_states).digest()
        rows = ComputedRows(len(listing.paths), reader.shape, lambda index: reader.read(listing.paths[index]), identity, cache)
        examples = Examples(rows, np.arange(len(listing.paths)), listing.targets)
        given = _splits_of_manifest(listing, request.manifest) if request.manifest else listing.splits
        decided = bool(request.manifest)
        return split_examples(examples, listing.task, self.data, request.seed, given, listing.groups, decided=decided)

    def _inspection_result(self, request: Request) -> tuple[list[tuple[str, str]], list[str]]:
        """Bad files (name, reason) and warnings of leakage, from an inspection of all files or its cached result.

        The cache key covers all that the result depends on: the files, `max_pixels`, the splits, Pillow's and the check's version.
        """
        splits = self._split(self.listing, request, None).splits
        depends_on = f"{CHECK_VERSION} {PIL.__version__} {self.data.max_pixels} {' '.join(map(str, splits))} {self._path}"
        digest = hashlib.sha256(depends_on.encode("utf-8", "surrogateescape") + self._file_states).hexdigest()
        path = platformdirs.user_cache_path("cnnkit") / "checks" / f"{digest}.json"
        try:
            stored = read_json(path)
            return [(name, reason) for name, reason in stored["bad"]], list(map(str, stored["told"]))
        except (OSError, ValueError, KeyError, TypeError):  # not inspected yet
            report = self._inspect(request)
        bad = [(each.name, each.reason) for each in report.bad]
        leaks = sum(1 for twins in report.twins if twins.leaks)
        leaking = "1 picture is" if leaks == 1 else f"{leaks:,} pictures are"
        warnings = [f"{leaking} in more than one split: `cnnkit data check` names them."] if leaks else []
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            write_json(path, {"bad": bad, "told": warnings})
        except OSError:  # without a writable cache the files are inspected again next time
            return bad, warnings
        return bad, warnings

    @property
    def _path(self) -> str:
        return str(getattr(self.data, self.data.source))

    @cached_property
    def _file_states(self) -> bytes:
        """Names, sizes and modification times of all files."""
        return b"".join(f"{name} {_state(path)}".encode() for path, name in zip(self.listing.paths, self.listing.names, strict=True))

    def _cache(self, request: Request) -> str | Path | None:
        """The cache for `ComputedRows`: `memory` where all decoded images fit into the allowed memory, else the run's cache folder."""
        if self.data.cache == "none":
            return None
        needed = len(self.listing.paths) * int(np.prod(self.spec.input_shape))
        allowed = self.data.cache_memory if self.data.cache_memory is not None else available_memory() // 2
        if self.data.cache == "memory" or (self.data.cache == "auto" and needed <= allowed):
            return "memory"
        return request.cache_folder


def _state(path: Path) -> str:
    try:
        status = path.stat()
    except (OSError, ValueError):  # missing, or an invalid path
        return "missing"
    return f"{status.st_size} {status.st_mtime_ns}"


def _size(data: Data, listing: Listing) -> tuple[int, int]:
    """(height, width) to which images are resized: that of the config, or their own where all have the same."""
    size = data.image_size
    if isinstance(size, int):
        return size, size
    if size is not None:
        return size[0], size[1]
    seen = set()
    for path in listing.paths[:: max(1, len(listing.paths) // SAMPLED_FILES)]:
        try:
            header = read_header(path, data.max_pixels)
        except ImageFault:
            continue
        seen.add((header.height, header.width))
    if len(seen) == 1:
        return seen.pop()
    found = "no readable image" if not seen else f"heights and widths from {min(seen)} to {max(seen)}"
    raise CnnkitError(f"{listing.name}: the images are not all of one size ({found})", "Write one: `data: {image_size: 160}`.")


def _bad_files_message(name: str, bad: Sequence[tuple[str, str]]) -> str:
    lines = [f"  {escape_unprintable(file)}: {escape_unprintable(reason)}" for file, reason in bad[:MAX_LISTED_FILES]]
    more = [f"  and {len(bad) - MAX_LISTED_FILES} more"] if len(bad) > MAX_LISTED_FILES else []
    files = "1 file" if len(bad) == 1 else f"{len(bad)} files"
    return "\n".join([f"{name}: {files} cannot be used:", *lines, *more])


def _is_text(name: str) -> bool:
    """Whether a name can be encoded as UTF-8: Python decodes invalid bytes of file names to surrogates."""
    return name.isascii() or not any("\ud800" <= character <= "\udfff" for character in name)


def _without_excluded(listing: Listing, data: Data) -> Listing:
    if data.exclude is None:
        return listing
    try:
        require_text_table(Path(data.exclude))
        lines = Path(data.exclude).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise CnnkitError(
            f"{data.exclude}: the list of files to exclude cannot be read", "Write it with `cnnkit data check --quarantine`."
        ) from error
    excluded = {line.partition("\t")[0].strip() for line in lines if line.strip() and not line.startswith("#")}
    pairs = zip(listing.paths, listing.names, strict=True)
    selected = np.array([i for i, (path, name) in enumerate(pairs) if not {str(path), name} & excluded], int)
    left_out = len(listing.paths) - len(selected)
    notice = f"{left_out} {'file is' if left_out == 1 else 'files are'} left out, as {Path(data.exclude).name} says."
    return replace(listing.take(selected), notices=(*listing.notices, notice))


def _splits_of_manifest(listing: Listing, manifest: Sequence[tuple[str, str, str]]) -> Array:
    """The splits in an earlier run's manifest; files added since get `unused`.

    A table may list a file several times, in several splits: each time is an example of its own, in the order of the rows.
    """
    splits = dict(zip(_numbered([name for name, _, _ in manifest]), [split for _, _, split in manifest], strict=True))
    listed = _numbered(listing.names)
    missing = sorted(name for name, _ in splits.keys() - set(listed))
    if missing:
        raise CnnkitError(
            f"{listing.name}: {'1 file' if len(missing) == 1 else f'{len(missing)} files'} of the run's manifest "
            f"{'is' if len(missing) == 1 else 'are'} gone, such as {escape_unprintable(missing[0])}",
            "Put them back, or train anew.",
        )
    return np.array([splits.get(each, "unused") for each in listed], dtype=object)


def _numbered(names: Sequence[str]) -> list[tuple[str, int]]:
    """Each name with the number of times that it stands before."""
    before: Counter[str] = Counter()
    numbered = []
    for name in names:
        numbered.append((name, before[name]))
        before[name] += 1
    return numbered


def label_texts(targets: Array, task: Task) -> list[str]:
    """Each target as text: the class, the labels joined by `|`, or the numbers."""
    if task.is_classification:
        return [task.names[int(target)] for target in targets]
    if task.is_multilabel:
        return ["|".join(name for name, has in zip(task.names, row, strict=True) if has) for row in targets]
    return [" ".join(f"{value:g}" for value in np.ravel(row)) for row in targets]
