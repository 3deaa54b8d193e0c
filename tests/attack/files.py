"""Damaged files: a reader gives a value or an error of the package, in bounded memory."""

from __future__ import annotations

import json
import resource
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import h5py
import numpy as np

from csl_plugin import Calibration, CSLError
from csl_plugin.io import (
    encode_rle,
    png_size,
    read_image,
    read_label_png,
    read_region_map,
    read_scores,
    write_region_map,
)
from csl_plugin.models import CSLNetwork, NetworkConfig
from csl_plugin.proposers import RegionMapFolder
from csl_plugin.proposers.mask_files import read_regions
from csl_plugin.training import Recipe
from tests.attack.mutation import Rng, damaged
from tests.helpers.miniature import chunk, png

# Every file here has less than 100 KB. More address space than the first is a finding, the second a limit.
_ALLOWED, _MOST = 600 << 20, 5 << 30
_PHOTO = (np.add.outer(np.arange(24), 3 * np.arange(32))[..., None] * np.array([1, 2, 3]) % 256).astype(
    np.uint8
)
_MASK = _PHOTO[..., 0] > 90

_ORIENTED = b"II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0"


def attack(rng: Rng, folder: Path) -> str | None:
    """One damaged file, read by its reader."""
    seeds = _seeds(folder)
    names = sorted(seeds)
    name = names[int(rng.integers(len(names)))]
    content, readers = seeds[name]
    path = folder / "damaged" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(damaged(rng, name, content))
    read = readers[int(rng.integers(len(readers)))]
    mapped, peak = _status("VmSize"), _status("VmPeak")
    with limited_memory(mapped + _MOST):
        found = outcome(lambda: read(path), path)
    taken = _status("VmPeak") - mapped
    if found is None and taken > max(_ALLOWED, peak - mapped):
        return f"{name}: {path.stat().st_size} bytes take {taken >> 20} MiB"
    return found


def outcome(call: Callable[[], object], path: Path) -> str | None:
    """What is wrong with how a call ended; None where it gave a value or an error of the package."""
    try:
        call()
    except CSLError as error:
        return (
            None
            if str(error).isprintable()
            else f"{path.name}: an error that is no printable line: {str(error)!r}"
        )
    except BaseException as error:
        return f"{path.name}: {type(error).__name__}: {' '.join(str(error).split())[:200]}"
    return None


@contextmanager
def limited_memory(most: int) -> Iterator[None]:
    """So many bytes of address space at most."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (most, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def _status(name: str) -> int:
    """A number of /proc/self/status, in bytes."""
    for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) << 10
    raise KeyError(name)


_Seed = tuple[bytes, tuple[Callable[[Path], Any], ...]]
_made: dict[Path, Mapping[str, _Seed]] = {}


def _seeds(folder: Path) -> Mapping[str, _Seed]:
    """Whole files by name, each with what reads such files."""
    if folder not in _made:
        _made[folder] = {
            **_pictures(),
            **_arrays(folder / "whole"),
            **_documents(),
            **_networks(folder / "whole"),
        }
    return _made[folder]


def _pictures() -> dict[str, _Seed]:
    gray, deep = _PHOTO[..., 0], _PHOTO[..., 0].astype(np.uint16) * 257
    readers = (read_image,)
    plain = {
        "rgb.png": png(_PHOTO, color=2, extra=chunk(b"eXIf", _ORIENTED)),
        "palette.png": png(gray),
        "alpha.png": png(np.dstack([_PHOTO, gray]), color=6),
    }
    found: dict[str, _Seed] = {name: (content, readers) for name, content in plain.items()}
    maps = (read_image, read_scores, read_region_map, read_label_png, png_size, read_regions)
    found["gray.png"] = (png(gray, color=0), maps)
    found["deep.png"] = (png(deep, bits=16, color=0), maps)
    found["labels.png"] = (png(gray % 16, bits=4), (read_label_png, png_size))
    progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    for suffix, options in {
        "jpg": [], "jpeg": progressive, "bmp": [], "webp": [], "tif": [], "ppm": [], "pgm": [],
    }.items():  # fmt: skip
        done, encoded = cv2.imencode(f".{suffix}", gray if suffix == "pgm" else _PHOTO, options)
        if done:
            found[f"photo.{suffix}"] = (encoded.tobytes(), readers)
    exif = b"Exif\0\0" + _ORIENTED
    jpeg = found["photo.jpg"][0]
    marker = b"\xff\xe1" + (len(exif) + 2).to_bytes(2, "big") + exif
    found["oriented.jpg"] = (jpeg[:2] + marker + jpeg[2:], readers)
    return found


def _arrays(folder: Path) -> dict[str, _Seed]:
    folder.mkdir(parents=True, exist_ok=True)
    scores = (_PHOTO[..., 0] / 255).astype(np.float32)
    np.save(folder / "scores.npy", scores)
    np.savez(folder / "scores.npz", scores)
    np.savez_compressed(folder / "packed.npz", scores.astype(np.float16))
    np.savez(folder / "entities.npz", mask_id=_PHOTO[..., 1], scores=np.ones(3))
    np.savez(folder / "wide.npz", mask_id=_PHOTO[..., 1].astype(np.int64))
    np.savez(folder / "masks.npz", masks=np.stack([_MASK, ~_MASK]), scores=np.array([0.5, 1.0]))
    write_region_map(folder / "map.npz", _PHOTO[..., 2] // 64)
    with h5py.File(folder / "scores.hdf5", "w") as file:
        file.create_dataset("value", data=scores, chunks=(8, 8), compression="gzip")
    readers = {
        "scores.npy": (read_scores,),
        "scores.npz": (read_scores, read_region_map),
        "packed.npz": (read_scores,),
        "entities.npz": (read_regions,),
        "wide.npz": (read_regions,),
        "masks.npz": (read_regions,),
        "map.npz": (read_region_map, read_regions),
        "scores.hdf5": (read_scores,),
    }
    return {name: ((folder / name).read_bytes(), used) for name, used in readers.items()}


def _documents() -> dict[str, _Seed]:
    counts = encode_rle(_MASK)
    plain = {"size": [24, 32], "counts": [90, 300, 378]}
    records = [{"segmentation": counts, "predicted_iou": 0.9}, {"segmentation": plain, "score": 0.5}]
    sa1b = {"image": {"height": 24, "width": 32}, "annotations": records}
    source = {"labels_of": "classes", "images": "images", "labels": "labels"}
    recipe = {
        "network": {"num_queries": 4, "points": True},
        "settings": {"steps": 5, "crop": [32, 32]},
        "cropping": {"smallest": 0.55, "largest": 1.4},
        "sources": {
            "city": {**source, "ignore": [3], "unseen": [1]},
            "parts": {**source, "labels_of": "segments"},
        },
        "textures": ["city"],
        "objects": {"parts": 0.6, "procedural": 0.4},
        "parts": [{"source": "city", "share": 4, "paste": [0, 7]}, {"source": "dead-leaves", "share": 1}],
        "validation": {"source": source, "every": 2, "frames": "0::2"},
    }
    fitted = Calibration.fit_quantile([_PHOTO / 255.0], levels=8)
    texts = {
        "masks.json": (json.dumps(records), (read_regions, _masks_in_folder)),
        "sa1b.json": (json.dumps(sa1b), (read_regions,)),
        "quantile.json": (fitted.to_json(), (Calibration.load,)),
        "sigmoid.json": (Calibration.sigmoid(1.0, 2.0).to_json(), (Calibration.load,)),
        "recipe.json": (json.dumps(recipe), (_recipe,)),
    }
    return {name: (text.encode(), used) for name, (text, used) in texts.items()}


def _networks(folder: Path) -> dict[str, _Seed]:
    config = NetworkConfig(
        num_queries=2, embedding_width=8, query_width=16, num_layers=1, feedforward_width=8
    )
    CSLNetwork(config).save_pretrained(folder)
    weights = (folder / "model.safetensors").read_bytes()
    text = (folder / "config.json").read_bytes()

    def read(path: Path) -> object:
        """The network of a folder in which one of the two files is damaged."""
        is_config = path.suffix == ".json"
        (path.parent / "net").mkdir(exist_ok=True)
        (path.parent / "net" / "config.json").write_bytes(path.read_bytes() if is_config else text)
        (path.parent / "net" / "model.safetensors").write_bytes(weights if is_config else path.read_bytes())
        return CSLNetwork.from_pretrained(path.parent / "net")

    return {"model.safetensors": (weights, (read,)), "config.json": (text, (read,))}


def _masks_in_folder(path: Path) -> object:
    alone = path.parent / f"folder{zlib.crc32(path.read_bytes()) % 8}"
    alone.mkdir(exist_ok=True)
    (alone / "a.json").write_bytes(path.read_bytes())
    return RegionMapFolder(alone)


def _recipe(path: Path) -> object:
    """Everything that a recipe leads to, with folders of one image."""
    data = path.parent / "data"
    if not data.exists():
        for kind, content in (
            ("images", png(_PHOTO, color=2)),
            ("labels", png(_PHOTO[..., 0] // 64, color=0)),
        ):
            (data / kind).mkdir(parents=True)
            (data / kind / "a.png").write_bytes(content)
    recipe = Recipe.read(path)
    recipe.mixture(data)
    return recipe.validation(data)
