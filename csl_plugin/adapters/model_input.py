"""The preprocessing that a recognized model is published with: what its class and its files say of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from csl_plugin.adapters.inputs import ImageInput
from csl_plugin.adapters.registry import PRESETS
from csl_plugin.errors import ScoreRangeError
from csl_plugin.io.json_files import read_json
from csl_plugin.io.json_schema import Place, Reader, array, boolean, in_json, number

_PROCESSORS = ("preprocessor_config.json", "processor_config.json")
_COLORS: dict[str, Reader[Any]] = {
    "image_mean": array(number(-1000, 1000), 3, 3),
    "image_std": array(number(1e-6, 1000), 3, 3),
}
_PLAIN = ImageInput()
_TOLERANCE = 0.1  # what resizing leaves outside [0, 1] of RGB


@dataclass(frozen=True)
class PublishedInput(ImageInput):
    """What a model's own processor does, where the caller did not say that the images come from it.

    Images whose values refute it are refused: they leave [0, 1] once it is undone, or all lie in [0, 1]
    before, as RGB does that was not normalized.

    Args:
        mean: As for `ImageInput`.
        std: Likewise.
        order: Likewise.
        peak: Likewise.
        preset: The name of the model's preset.
        says: Who says it: the preset, or the file of the model's processor.
    """

    preset: str = ""
    says: str = ""

    def _check(self, rgb: Tensor) -> None:
        plain = f"adapter=preset({self.preset!r}, mean=(0, 0, 0), std=(1, 1, 1))"
        try:
            super()._check(rgb)
        except ScoreRangeError as error:
            expected = f"RGB in [0, 1] once the normalization of {self.says} is undone"
            hint = f"Pass what the model's processor gives, or state yours, as in {plain} for RGB in [0, 1]."
            raise ScoreRangeError(error.argument, error.got, expected, hint) from None
        if self._may_be_plain(rgb):
            got = "images in [0, 1], as RGB that is not normalized"
            expected = f"images with the normalization of {self.says}"
            hint = f"For RGB in [0, 1] pass {plain}; if they are normalized, pass adapter={self.preset!r}."
            raise ScoreRangeError("model input", got, expected, hint)

    def _may_be_plain(self, rgb: Tensor) -> bool:
        """Whether the images lie in [0, 1] as they came, although a normalization is to be undone."""
        if (self.mean, self.std, self.peak) == (_PLAIN.mean, _PLAIN.std, _PLAIN.peak):
            return False  # nothing is to be undone, or the order of the channels alone
        mean, std = (rgb.new_tensor(values) for values in (self.mean, self.std))
        if self.order == "BGR":
            mean, std = mean.flip(0), std.flip(0)
        few = rgb[..., ::16, ::16] if rgb.ndim == 4 else rgb[::16]
        for part in (few, rgb):  # most images are refuted by a few values
            axes = [0, *range(2, part.ndim)]
            low, high = ((bound(axes) * self.peak - mean) / std for bound in (part.amin, part.amax))
            if not ((low >= -_TOLERANCE).all() and (high <= 1 + _TOLERANCE).all()):
                return False
        return True


def published_input(model: Any) -> ImageInput | None:
    """The preprocessing of a model of transformers or torchvision; None where its class says none.

    It is that of the preset for the class. For transformers the file of the processor that lies beside the
    model's weights goes before, in the folder or the cache that `from_pretrained` read; nothing is
    downloaded.

    Raises:
        FileError: That file is damaged.
    """
    inner = model.module if isinstance(model, nn.DataParallel) else model
    name = _preset_name(inner)
    if name is None:
        return None
    own, says = PRESETS[name].images, f"the preset {name!r}"
    file = _processor_file(getattr(inner, "config", None))
    if file is not None:
        own, says = read_processor(file, own), str(file)
    return PublishedInput(own.mean, own.std, own.order, own.peak, preset=name, says=says)


def read_processor(path: Path, default: ImageInput) -> ImageInput:
    """The preprocessing that the JSON file of an image processor of transformers declares.

    Args:
        path: `preprocessor_config.json`, or `processor_config.json` of a processor with several parts.
        default: What holds where it declares nothing.

    Raises:
        FileError: Damaged, or values of another kind.
    """
    values, place = read_json(path, "an image processor's configuration"), Place(str(path))
    if isinstance(values, dict):
        values = values.get("image_processor", values)
    if not isinstance(values, dict):
        raise place.error(in_json(values), "an object", "Take the file that was saved with the model.")

    def flag(name: str, otherwise: bool) -> bool:
        return otherwise if values.get(name) is None else boolean(values[name], place[name])

    normalizes = flag("do_normalize", default != replace(default, mean=None, std=None))
    mean, std = (
        (_COLORS[key](values[key], place[key]) if values.get(key) is not None else given)
        for key, given in (("image_mean", default.mean), ("image_std", default.std))
    )
    factor = 1.0
    if flag("do_rescale", True):
        given = values.get("rescale_factor")
        factor = 1 / 255 if given is None else number(1e-6, 1e6)(given, place["rescale_factor"])
    peak = 255 * factor
    flips = flag("do_flip_channel_order", default.order == "BGR")
    return ImageInput(
        mean if normalizes else None,
        std if normalizes else None,
        "BGR" if flips else "RGB",
        round(peak, 9),
    )


def _preset_name(model: Any) -> str | None:
    config = getattr(model, "config", None)
    if type(config).__module__.partition(".")[0] == "transformers":
        kind = getattr(config, "model_type", None)
        return kind if isinstance(kind, str) and kind in PRESETS else None
    kind = type(getattr(model, "_orig_mod", model)).__module__  # beneath torch.compile
    return "torchvision" if kind.startswith("torchvision.models.segmentation.") else None


def _processor_file(config: Any) -> Path | None:
    """The file of the processor beside the weights that a model of transformers was loaded from."""
    name = getattr(config, "_name_or_path", None)
    if not isinstance(name, str) or not name:
        return None
    folder = Path(name)
    try:
        if folder.is_dir():
            return next((folder / file for file in _PROCESSORS if (folder / file).is_file()), None)
        from huggingface_hub import try_to_load_from_cache

        commit = getattr(config, "_commit_hash", None)
        found = (try_to_load_from_cache(name, file, revision=commit) for file in _PROCESSORS)
        return next((Path(file) for file in found if isinstance(file, str)), None)
    except (OSError, ValueError):  # no name of a file or of a repository
        return None
