"""The files that hold a network's weights: one, a variant of it, or shards with their index."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from csl_plugin.errors import FileError
from csl_plugin.io.json_files import read_json
from csl_plugin.io.json_schema import Place, in_json, table, text
from csl_plugin.io.limits import as_file_error, check_file
from csl_plugin.models.hub.names import checked_variant, is_plain
from csl_plugin.models.hub.source import Origin, optional

WEIGHTS = "model.safetensors"
PICKLES = (".bin", ".pth", ".pt", ".ckpt")
_LARGEST_INDEX, _LARGEST_HEADER = 4 << 20, 8 << 20
_MOST_SHARDS = 256
_AGAIN = "Take the index and the files of the same model."
_ADVICE = "Pickles are never read. Convert it once: {command}"
_CONVERSION = (
    'python -c \'import torch, safetensors.torch as s; w = torch.load("{name}", weights_only=True); '
    's.save_file({{k: v.clone() for k, v in w.items()}}, "model.safetensors")\''
)


@dataclass(frozen=True)
class Part:
    """A weight as the header of its file declares it.

    Attributes:
        path: The file.
        shape: Of the weight.
        kind: Its type, as safetensors names it.
    """

    path: Path
    shape: tuple[int, ...]
    kind: str

    @property
    def count(self) -> int:
        """How many values it has."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class WeightFiles:
    """Files of weights, none of which has been opened.

    Attributes:
        argument: What an error calls them.
        paths: Of the files.
        index: The file of each weight; None where there is only one file. What an index states of the bytes
            of all weights is not read: converters leave the sum of other dtypes, and of tied weights.
    """

    argument: str
    paths: tuple[Path, ...]
    index: Mapping[str, str] | None = None


def find_weights(files: Origin, largest: int, variant: str | None = None) -> WeightFiles:
    """The files of a network's weights.

    These are `model.safetensors`, else the shards that `model.safetensors.index.json` names; of a variant
    `model.VARIANT.safetensors`, else the shards of `model.safetensors.index.VARIANT.json`. Without either,
    the only variant that is there.

    Args:
        files: Where they are.
        largest: Bytes that they may have together.
        variant: Such as "fp16".

    Raises:
        OptionError: `variant` is no word.
        FileError: There are none, only pickles, or several variants; or the index is damaged.
    """
    variant = checked_variant(variant)
    name = WEIGHTS if variant is None else f"model.{variant}.safetensors"
    path = optional(files, name, largest)
    if path is not None:
        check_file(path)
        return WeightFiles(str(path), (path,))
    index_name = f"{WEIGHTS}.index.json" if variant is None else f"{WEIGHTS}.index.{variant}.json"
    index = optional(files, index_name, _LARGEST_INDEX)
    if index is not None:
        return _shards(index, files, largest)
    names = files.names()
    variants = _variants(names)
    if variant is None and len(variants) == 1:
        return find_weights(files, largest, variants[0])
    if variants:
        got = "only the variants " + ", ".join(variants[:8])
        hint = f'Choose one, such as the variant "{variants[0]}".'
        raise FileError(files.of(name), got, "weights as safetensors", hint)
    found = only_pickles(files.of(name), names)
    if found is not None:
        raise found
    hint = "Name a folder or a repository that save_pretrained or push_to_hub wrote."
    raise FileError(files.of(name), "no such file", "weights as safetensors", hint)


def read_parts(weights: WeightFiles) -> dict[str, Part]:
    """Every weight by its name, from the headers of the files; no weight is read.

    Raises:
        FileError: A file is damaged, or does not hold what the index says.
    """
    from safetensors import safe_open

    parts: dict[str, Part] = {}
    for path in weights.paths:
        _check_header(path)
        with as_file_error(path, "a safetensors file"), safe_open(path, "pt") as stored:
            for name in stored.keys():  # noqa: SIM118  # no mapping
                part = stored.get_slice(name)
                if name in parts:
                    got = f"{in_json(name)}, which {parts[name].path.name} has too"
                    raise _contradiction(str(path), got, "every weight in one file")
                parts[name] = Part(path, tuple(part.get_shape()), part.get_dtype())
    if weights.index is not None:
        _check_index(weights, parts)
    return parts


def only_pickles(argument: str, names: Iterable[str]) -> FileError | None:
    """The error for weights that exist only as a pickle; None where no name is a pickle's."""
    pickles = sorted(name for name in names if Path(name).suffix in PICKLES)
    if not pickles:
        return None
    plain = [name for name in pickles if is_plain(name)]  # others are no part of a command to copy
    got = "only " + ", ".join(plain[:4] or ["pickles"])
    hint = _ADVICE.format(command=_CONVERSION.format(name=plain[0] if plain else "FILE"))
    return FileError(argument, got, "weights as safetensors", hint)


def _variants(names: Iterable[str]) -> list[str]:
    """The variants that files are named after."""
    word = r"([A-Za-z0-9_-]{1,40})"
    found = set()
    for name in names:
        whole = re.fullmatch(rf"model\.{word}\.safetensors|model\.safetensors\.index\.{word}\.json", name)
        if whole and not re.search(r"-\d{5}-of-\d{5}$", whole[1] or ""):
            found.add(whole[1] or whole[2])
    return sorted(found)


def _shards(index: Path, files: Origin, largest: int) -> WeightFiles:
    place, values = Place(str(index)), read_json(index, "an index of shards", largest=_LARGEST_INDEX)
    if not isinstance(values, dict):
        raise place.error(in_json(values), "an object with weight_map", _AGAIN)
    where = table(text, 1)(values.get("weight_map"), place["weight_map"])
    shards = sorted(set(where.values()))
    for shard in shards:
        if not is_plain(shard) or not shard.endswith(".safetensors"):
            raise place["weight_map"].error(
                in_json(shard), "names of safetensors files beside the index", _AGAIN
            )
    if len(shards) > _MOST_SHARDS:
        raise place["weight_map"].error(f"{len(shards)} files", f"at most {_MOST_SHARDS}", _AGAIN)
    paths, left = [], largest
    for shard in shards:
        path = files(shard, left)
        left -= check_file(path)
        paths.append(path)
    return WeightFiles(str(index), tuple(paths), where)


def _check_index(weights: WeightFiles, parts: Mapping[str, Part]) -> None:
    """Refuse files that do not hold exactly what their index says."""
    assert weights.index is not None  # noqa: S101
    for name, shard in weights.index.items():
        if name not in parts or parts[name].path.name != shard:
            raise _contradiction(weights.argument, f"no {in_json(name)} in {shard}", "what the index says")
    for name, part in parts.items():
        if name not in weights.index:
            got = f"{in_json(name)} in {part.path.name}, which the index has not"
            raise _contradiction(weights.argument, got, "what the index says")


def _contradiction(argument: str, got: str, expected: str) -> FileError:
    return FileError(argument, got, expected, _AGAIN)


def _check_header(path: Path) -> None:
    """Refuse a header that is out of proportion before it is parsed."""
    size = check_file(path)
    with as_file_error(path, "a safetensors file"), path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
    if length > min(size - 8, _LARGEST_HEADER):
        got = f"a file that cannot be read (a header of {length} bytes)"
        hint = "The file is damaged, truncated or of another format: write it again."
        raise FileError(str(path), got, "a safetensors file", hint)
