"""Pickles under every name that a reader takes: none is opened."""

from __future__ import annotations

import io
import pickle
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import torch

from csl_plugin import Calibration, load_proposer
from csl_plugin.io import read_image, read_label_png, read_region_map, read_scores
from csl_plugin.models import CSLNetwork, NetworkConfig, load_backbone_weights
from csl_plugin.proposers.mask_files import read_regions
from csl_plugin.training import Recipe
from tests.attack.files import outcome
from tests.attack.mutation import Rng


class _Opened:
    """What writes a file when it is unpickled."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return Path.touch, (self.mark,)


def _backbone(path: Path) -> object:
    return load_backbone_weights(_network_of_two(), path)


def _proposer(path: Path) -> object:
    return load_proposer(str(path))


@cache
def _network_of_two() -> CSLNetwork:
    return CSLNetwork(
        NetworkConfig(num_queries=2, embedding_width=8, query_width=16, num_layers=1, feedforward_width=8)
    )


_READERS: dict[str, tuple[Callable[[Path], object], ...]] = {
    ".npy": (read_scores,),
    ".npz": (read_scores, read_region_map, read_regions),
    ".h5": (read_scores,),
    ".hdf5": (read_scores,),
    ".png": (read_image, read_scores, read_label_png, read_region_map),
    ".jpg": (read_image,),
    ".json": (Calibration.load, Recipe.read, read_regions),
    ".pt": (_backbone, _proposer),
    ".pth": (_backbone, _proposer),
    ".bin": (_backbone, _proposer),
    ".safetensors": (_backbone, _proposer),
}


def attack(rng: Rng, folder: Path) -> str | None:
    """One pickle of some kind, under some name, for some reader."""
    mark = folder / "opened"
    suffix = sorted(_READERS)[int(rng.integers(len(_READERS)))]
    readers = (*_READERS[suffix], _network)
    read = readers[int(rng.integers(len(readers)))]
    path = folder / "pickled" / f"a{suffix}"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(_content(rng, mark))
    found = outcome(lambda: read(path), path)
    if mark.exists():
        mark.unlink()
        return f"{path.name}: its pickle was opened"
    return found


def _network(path: Path) -> object:
    """A network's folder whose weights are the pickle."""
    folder = path.parent / "network"
    folder.mkdir(exist_ok=True)
    for name in ("model.safetensors", "pytorch_model.bin", "model.pt"):
        (folder / name).write_bytes(path.read_bytes())
    (folder / "config.json").write_text("{}", encoding="utf-8")
    return CSLNetwork.from_pretrained(folder)


def _content(rng: Rng, mark: Path) -> bytes:
    written = io.BytesIO()
    kind = rng.integers(5)
    if kind == 0:
        return pickle.dumps(_Opened(mark), protocol=int(rng.integers(6)))
    if kind == 1:
        np.save(written, np.array([_Opened(mark)], object), allow_pickle=True)
    elif kind == 2:
        np.savez(written, scores=np.array([[_Opened(mark)]], object), labels=np.zeros((2, 2), int))
    elif kind == 3:
        torch.save({"weight": _Opened(mark)}, written)
    else:
        with zipfile.ZipFile(written, "w") as archive:
            archive.writestr("scores.npy", pickle.dumps(_Opened(mark)))
    return written.getvalue()
