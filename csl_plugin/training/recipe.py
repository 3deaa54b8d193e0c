"""A training as a JSON file: the network, the data, the settings."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import CSLError, FileError, OptionError
from csl_plugin.io import list_images, read_image
from csl_plugin.io.limits import as_file_error, check_file
from csl_plugin.models import CSLNetwork, NetworkConfig, load_backbone_weights
from csl_plugin.training.data.augmentation import Cropping
from csl_plugin.training.data.folders import LabeledFolder, SegmentFolder
from csl_plugin.training.data.mask_split import class_regions, mask_split
from csl_plugin.training.data.saved_teacher import SavedTeacher
from csl_plugin.training.data.scene import Picture, Source
from csl_plugin.training.mixture import Mixture, Part
from csl_plugin.training.settings import TrainingSettings
from csl_plugin.training.synthetic.dead_leaves import DeadLeaves
from csl_plugin.training.synthetic.objects import Objects, ProceduralObjects, SegmentBank
from csl_plugin.training.synthetic.pasting import Pasting
from csl_plugin.training.synthetic.textures import Textures
from csl_plugin.training.validation import AnomalyScores, Validation

_LARGEST = 1 << 20
_VALIDATION_KEYS = {"source", "every", "frames", "scores", "anomaly"}
_DATA_KEYS = {"cropping", "sources", "textures", "objects", "parts", "split", "teacher", "validation"}
_KEYS = _DATA_KEYS | {"network", "settings", "backbone"}


@dataclass(frozen=True)
class Recipe:
    """A training: the network, the data, the settings.

    The JSON object has these keys, all paths relative to a data folder:

    - `network`: arguments of `NetworkConfig`.
    - `settings`: arguments of `TrainingSettings`; `steps` is required.
    - `cropping`: arguments of `Cropping`, for all folders.
    - `sources`: folders by a name of your choice, `{"labels_of": "classes", "images": DIR, "labels": DIR,
      "ignore": [ids], "unseen": [ids]}`, where a label is a class and mask split makes the regions; or
      `{"labels_of": "segments", "images": DIR, "labels": DIR}`, where a label is a segment and an image may
      have several annotations.
    - `textures`: names of sources or folders of pictures, whose crops are textures of procedural shapes;
      without any, all textures are procedural.
    - `objects`: what is pasted, with shares: `{"procedural": 0.4, "<a source of segments>": 0.6}`.
    - `parts`: what a batch is drawn from, `{"source": NAME or "dead-leaves", "share": 3, "paste": [0, 4]}`,
      where `paste` is the range of the number of objects.
    - `teacher`: `{"maps": DIR, "source": NAME, "logits": false}`, a teacher's distributions for all images of
      a source (optional where there is only one): see `SavedTeacher`. The network needs its `num_classes`.
    - `validation`: `{"source": {as one of the sources}, "every": 500, "frames": "0::2", "scores": DIR,
      "anomaly": [ids]}`, what the moving average is measured on: see `Validation`. Only `source` is required.
    - `backbone`: a folder or OWNER/NAME on the Hub with ImageNet weights of a ResNet-50.
    - `split`: false trains without mask split: a class, or a segment, is one region, connected or not.

    Attributes:
        network: Configuration of the network.
        settings: Settings of the training.
        document: The JSON object.
    """

    network: NetworkConfig
    settings: TrainingSettings
    document: Mapping[str, Any]

    @staticmethod
    def read(path: Path) -> Recipe:
        """Read a recipe.

        Raises:
            FileError: The file is missing or damaged, or holds an unknown key or an invalid value.
        """
        if check_file(path) > _LARGEST:
            raise FileError(
                str(path), "a very long file", "a recipe", "Remove what is not part of the recipe."
            )
        with as_file_error(path, "a JSON file"):
            document = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(document, dict) or not {"settings", "parts"} <= document.keys() <= _KEYS:
            expected = "an object with settings, parts and any of " + ", ".join(sorted(_KEYS))
            raise FileError(str(path), "another content", expected, "See help(csl_plugin.training.Recipe).")
        try:
            network = NetworkConfig.from_json(document.get("network", {}))
            settings = TrainingSettings.from_json(document["settings"])
        except CSLError as error:
            raise FileError(f"{path}, {error.argument}", error.got, error.expected, error.hint) from error
        return Recipe(network, settings, document)

    def mixture(self, data: Path) -> Mixture:
        """Open the data.

        Args:
            data: The folder that the recipe's paths are relative to.

        Raises:
            FileError: A folder is missing, or does not hold the files that the recipe needs.
            OptionError: An unknown name or an invalid value in the recipe.
        """
        cropping = _built(Cropping, self.document.get("cropping", {}), "cropping")
        entries = self.document.get("sources", {})
        teacher, taught = self._teacher(data)
        sources = {
            name: _source(name, entry, data, cropping, teacher if name == taught else None)
            for name, entry in entries.items()
        }
        textures = self._textures(sources, data)
        objects = [
            (_objects(name, sources, textures), float(share))
            for name, share in self.document.get("objects", {}).items()
        ]
        parts = []
        for entry in self.document["parts"]:
            name = str(entry.get("source"))
            source: Source = DeadLeaves(textures) if name == "dead-leaves" else _find(name, sources)
            pasting = None
            if "paste" in entry:
                fewest, most = entry["paste"]
                pasting = Pasting(objects, fewest=fewest, most=most)
            parts.append(Part(source, float(entry.get("share", 1.0)), pasting))
        splits = self.document.get("split", True)
        if not isinstance(splits, bool):
            raise OptionError("split", repr(splits), "true or false", "Omit it for mask split.")
        return Mixture(
            parts,
            crop=self.settings.crop,
            seed=self.settings.seed,
            to_regions=mask_split if splits else class_regions,
            teacher_classes=0 if teacher is None else teacher.num_classes,
        )

    def validation(self, data: Path) -> Validation | None:
        """Open the data that the moving average is measured on; None where the recipe has no `validation`.

        Args:
            data: As for `mixture`.

        Raises:
            FileError, OptionError: As for `mixture`.
        """
        if "validation" not in self.document:
            return None
        given = dict(_object(self.document["validation"], "validation", _VALIDATION_KEYS))
        source = _source("validation.source", given.pop("source", {}), data, Cropping())
        scores = None
        if "scores" in given:
            scores = AnomalyScores(data / str(given.pop("scores")), tuple(given.pop("anomaly", ())))
        images = range(len(source))[_frames(given.pop("frames", "::"))]
        given |= {"source": source, "images": images, "scores": scores}
        found: Validation = _built(Validation, given, "validation")
        return found

    def load_backbone(self, network: CSLNetwork, data: Path) -> None:
        """Load the weights of the recipe's `backbone`, if it has one, into a new network.

        Raises:
            OptionError, FileError: As for `load_backbone_weights`.
        """
        if "backbone" in self.document:
            source = str(self.document["backbone"])
            load_backbone_weights(network, data / source if (data / source).is_dir() else source)

    def _teacher(self, data: Path) -> tuple[SavedTeacher | None, str | None]:
        """The saved teacher, and the name of the source whose images its maps are for."""
        if "teacher" not in self.document:
            return None, None
        given = dict(_object(self.document["teacher"], "teacher", {"maps", "source", "logits"}))
        sources = list(self.document.get("sources", {}))
        name = given.pop("source", sources[0] if len(sources) == 1 else None)
        if name not in sources:
            hint = "Name the source whose images the maps are for."
            raise OptionError("teacher.source", repr(name), ", ".join(map(repr, sources)), hint)
        given["folder"] = data / str(given.pop("maps", ""))
        teacher = _built(SavedTeacher, given, "teacher")
        if teacher.num_classes != self.network.num_classes:
            got = f"{teacher.num_classes} classes"
            hint = f'Set "num_classes": {teacher.num_classes} in "network".'
            raise OptionError("teacher.maps", got, f"the network's {self.network.num_classes}", hint)
        return teacher, name

    def _textures(self, sources: Mapping[str, LabeledFolder | SegmentFolder], data: Path) -> Textures:
        pictures: list[Picture] = []
        allowed: list[NDArray[np.bool_] | None] = []
        for name in self.document.get("textures", []):
            if name in sources:
                folder = sources[name]
                for index in range(len(folder)):
                    pictures.append(folder.image(index))
                    # Ignored pixels are no texture either; above all, not those of unseen classes.
                    allowed.append(folder.labels(index) >= 0)
            else:
                images = [read_image(path) for path in list_images(data / name).values()]
                pictures += images
                allowed += [None] * len(images)
        return Textures(pictures, allowed)


def _source(
    name: str, entry: Mapping[str, Any], data: Path, cropping: Cropping, teacher: SavedTeacher | None = None
) -> LabeledFolder | SegmentFolder:
    given = dict(entry)
    kind = given.pop("labels_of", None)
    kinds = {"classes": LabeledFolder, "segments": SegmentFolder}
    if kind not in kinds:
        raise OptionError(f"sources.{name}.labels_of", repr(kind), '"classes" or "segments"', "Name one.")
    for folder in ("images", "labels"):
        given[folder] = data / str(given.get(folder, folder))
    found: LabeledFolder | SegmentFolder = _built(
        kinds[kind], {**given, "cropping": cropping, "teacher": teacher}, f"sources.{name}"
    )
    return found


def _object(value: Any, where: str, known: set[str]) -> Mapping[str, Any]:
    if not isinstance(value, dict) or not value.keys() <= known:
        got = ", ".join(map(str, value)) if isinstance(value, dict) else type(value).__name__
        raise OptionError(where, got, "some of " + ", ".join(sorted(known)), "Correct the recipe.")
    return value


def _frames(text: object) -> slice:
    """The slice that is written as in brackets, such as "0::2"."""
    words = text.split(":") if isinstance(text, str) else []
    if len(words) not in (2, 3) or not all(re.fullmatch(r"-?\d{0,9}", word) for word in words):
        hint = 'Write "0::2" for every second image.'
        raise OptionError("validation.frames", repr(text), "START:STOP or START:STOP:STEP", hint)
    return slice(*(int(word) if word else None for word in words))


def _objects(name: str, sources: Mapping[str, Any], textures: Textures) -> Objects:
    if name == "procedural":
        return ProceduralObjects(textures)
    folder = _find(name, sources)
    if not isinstance(folder, SegmentFolder):
        hint = "Name a source of segments; class labels do not separate objects."
        raise OptionError("objects", repr(name), 'a source with labels_of "segments"', hint)
    return SegmentBank(folder)


def _find(name: str, sources: Mapping[str, Any]) -> Any:
    if name not in sources:
        expected = ", ".join(map(repr, (*sources, "dead-leaves", "procedural")))
        raise OptionError("source", repr(name), expected, "Name a source of the recipe.")
    return sources[name]


def _built(kind: Any, given: Mapping[str, Any], where: str) -> Any:
    try:
        return kind(**given)
    except TypeError as error:
        raise OptionError(where, str(error), f"what {kind.__name__} takes", "Correct the recipe.") from error
