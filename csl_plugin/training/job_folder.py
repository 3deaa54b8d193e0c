"""The output folder of a training: its files, who may write them, and folders without a journal."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path

from csl_plugin.errors import CSLError
from csl_plugin.io.atomic import as_write_error
from csl_plugin.io.job_settings import SETTINGS_NAME, write_settings
from csl_plugin.io.journal import JOURNAL_NAME, Journal
from csl_plugin.io.output_folder import OutputFolder
from csl_plugin.models.hub.safetensors_io import CONFIG
from csl_plugin.models.hub.weight_files import WEIGHTS
from csl_plugin.training.state import read_facts

STATE = "state.safetensors"
NETWORK = "network"
TRAINING_FILES = (STATE, "log.jsonl", "log.svg")
NETWORK_FILES = (f"{NETWORK}/{WEIGHTS}", f"{NETWORK}/{CONFIG}")

_SETTINGS = {"command": "train"}  # the rest is in the state, which alone says what can be continued


class JobFolder:
    """The folder of a training, taken; `job_folder` takes it.

    Args:
        folder: None in processes that write nothing.
    """

    def __init__(self, folder: OutputFolder | None) -> None:
        self._folder = folder

    def writing(self, unit: str, files: Sequence[str]) -> AbstractContextManager[None]:
        """Record that the block writes these files of the folder.

        Raises:
            FileError: One of them is of another program, or the folder cannot be written.
        """
        if self._folder is None:
            return nullcontext()
        return self._folder.writing(unit, [self._folder.path / name for name in files], source=unit)


@contextmanager
def job_folder(
    out: Path, files: Sequence[str], inputs: Sequence[Path] = (), *, writes: bool = True
) -> Iterator[JobFolder]:
    """Take the folder of a training until the block ends.

    Args:
        out: New, empty, or of a training.
        files: Those in it that may be written.
        inputs: What the training reads; none may be in the folder.
        writes: Whether this process writes the folder's files; another one of the job does otherwise.

    Raises:
        OptionError: The folder holds an input or what no training made, or another one is at work in it.
        FileError: A file of another program is where one would be written, or the folder cannot be written.
    """
    if not writes:
        yield JobFolder(None)
        return
    _adopt(out)
    folder = OutputFolder(out, _SETTINGS)
    with folder.taken(outputs=[out / name for name in files], inputs=inputs, argument="out"):
        yield JobFolder(folder)


def _adopt(out: Path) -> None:
    """Write the journal of a training that an earlier version began: its state says that it is one."""
    try:
        if (out / SETTINGS_NAME).exists() or not (out / STATE).is_file():
            return
        read_facts(out / STATE)
    except (CSLError, OSError, ValueError):
        return  # somebody else's, which `OutputFolder.taken` refuses
    with as_write_error(out):
        names = [name for name in (*TRAINING_FILES, *NETWORK_FILES) if (out / name).is_file()]
        Journal(out / JOURNAL_NAME).start("training", names)
        write_settings(out / SETTINGS_NAME, _SETTINGS)
    warnings.warn(f"{out} is of a training that an earlier version began; it is continued", stacklevel=2)
