"""Predictions and their labels, matched by stem and read ahead."""

from __future__ import annotations

import os
import sys
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from csl_plugin.cli.advice import in_command_words
from csl_plugin.errors import CSLError, FileError, ShapeError
from csl_plugin.io.orientation import TURNED_HINT
from csl_plugin.places import Place, is_file_place

LABEL_SUFFIXES = (".png",)
_AHEAD, _NAMED = 4, 5

Reader = Callable[[Place], NDArray[Any]]


@dataclass(frozen=True)
class Pair:
    """The two files of one frame."""

    prediction: Place
    label: Place


@dataclass(frozen=True)
class Pairs(Sequence[Pair]):
    """The pairs of two folders.

    Args:
        found: In the order of their stems.
        skipped: Files of both folders with another suffix, counted by it.
    """

    found: Sequence[Pair]
    skipped: Mapping[str, int]

    def __len__(self) -> int:
        return len(self.found)

    def __getitem__(self, index: Any) -> Any:
        return self.found[index]


def find_pairs(predictions: Place, labels: Place, suffixes: Sequence[str]) -> Pairs:
    """The files of two folders, paired by their stems and sorted by them.

    Args:
        predictions: A folder, or one file.
        labels: A folder of PNG files, or one.
        suffixes: Of the predictions.

    Raises:
        FileError: A folder is missing or empty, or a file has no counterpart.
    """
    from csl_plugin.io import files_by_stem, holding, other_suffixes

    predicted, labeled = files_by_stem(predictions, suffixes), files_by_stem(labels, LABEL_SUFFIXES)
    if is_file_place(predictions) and is_file_place(labels):
        return Pairs([Pair(predictions, labels)], {})
    for place, found, wanted in ((predictions, predicted, suffixes), (labels, labeled, LABEL_SUFFIXES)):
        if not found:
            got = holding(place, wanted, f"{' or '.join(wanted)} files")
            raise FileError(str(place), got, "one file for each frame", "Pass the folder that holds them.")
    # One file is measured against its counterpart in a folder.
    if is_file_place(predictions):
        labeled = {stem: label for stem, label in labeled.items() if stem in predicted}
    if is_file_place(labels):
        predicted = {stem: path for stem, path in predicted.items() if stem in labeled}
    refuse_unpaired(labels, predicted, labeled, "label")
    refuse_unpaired(predictions, labeled, predicted, "prediction")
    if predictions == labels:
        skipped = Counter(other_suffixes(predictions, (*suffixes, *LABEL_SUFFIXES)))
    else:
        skipped = Counter(other_suffixes(predictions, suffixes))
        skipped += Counter(other_suffixes(labels, LABEL_SUFFIXES))
    return Pairs([Pair(path, labeled[stem]) for stem, path in predicted.items()], dict(skipped))


def read_pairs(
    pairs: Sequence[Pair], read_prediction: Reader, read_label: Reader, verb: str
) -> Iterator[tuple[Pair, NDArray[Any], NDArray[Any]]]:
    """Each pair's arrays in order; the next files are read while the caller works on the current ones.

    A progress bar is shown if stderr is a terminal.

    Raises:
        CSLError: A file cannot be read.
        ShapeError: Prediction and label differ in size.
    """
    from tqdm import tqdm

    def read(pair: Pair) -> tuple[Pair, NDArray[Any], NDArray[Any]]:
        prediction, label = read_prediction(pair.prediction), read_label(pair.label)
        if prediction.shape != label.shape:
            expected = f"{label.shape}, the size of the label {pair.label.name}"
            hint = "Resize the prediction to the size of the label first."
            if prediction.shape == label.shape[::-1]:
                hint = TURNED_HINT
            raise ShapeError(str(pair.prediction), f"size {prediction.shape}", expected, hint)
        return pair, prediction, label

    workers = min(_AHEAD, os.cpu_count() or 1)
    with (
        ThreadPoolExecutor(workers) as pool,
        tqdm(total=len(pairs), desc=verb, unit="frame", disable=None, file=sys.stderr) as bar,
    ):
        waiting = deque(pool.submit(read, pair) for pair in pairs[:_AHEAD])
        try:
            for following in [*pairs[_AHEAD:], *[None] * len(waiting)]:
                done = waiting.popleft().result()
                if following is not None:
                    waiting.append(pool.submit(read, following))
                yield done
                bar.update()
        finally:
            for future in waiting:
                future.cancel()


@contextmanager
def naming_files(pair: Pair) -> Iterator[None]:
    """Add the names of the files to an error of the block."""
    try:
        yield
    except CSLError as error:
        said = in_command_words(error, "eval")
        argument = f"{pair.prediction} with {pair.label.name}: {said.argument}"
        raise type(error)(argument, said.got, said.expected, said.hint) from error


def refuse_unpaired(place: Place, files: Mapping[str, Place], others: Collection[str], kind: str) -> None:
    """Refuse files without a counterpart.

    Args:
        place: Where the counterparts should be.
        files: By stem.
        others: The stems of the counterparts.
        kind: What is missing, for the error.

    Raises:
        FileError: A file has none.
    """
    unpaired = [path.name for stem, path in files.items() if stem not in others]
    if unpaired:
        names = ", ".join(unpaired[:_NAMED]) + (
            f" and {len(unpaired) - _NAMED} more" if unpaired[_NAMED:] else ""
        )
        hint = "Add the missing files, or remove their counterparts: files are matched by stem."
        raise FileError(str(place), f"no {kind} for {names}", f"{_article(kind)} {kind} for every file", hint)


def _article(kind: str) -> str:
    return "an" if kind[0] in "aeiou" else "a"
