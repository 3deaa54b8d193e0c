"""A training as a JSON file: the network, the data, the settings."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from csl_plugin.errors import OptionError
from csl_plugin.io import list_images, read_image
from csl_plugin.io.json_files import read_json
from csl_plugin.io.json_schema import Place, record
from csl_plugin.models import CSLNetwork, NetworkConfig, load_backbone_weights
from csl_plugin.models.config import read_network_config
from csl_plugin.training.data.augmentation import Cropping
from csl_plugin.training.data.folders import LabeledFolder, SegmentFolder
from csl_plugin.training.data.mask_split import class_regions, mask_split
from csl_plugin.training.data.saved_teacher import SavedTeacher
from csl_plugin.training.data.scene import Picture
from csl_plugin.training.mixture import Mixture, Part
from csl_plugin.training.recipe_entries import (
    DEAD_LEAVES,
    ENTRIES,
    PartEntry,
    RecipeEntries,
    SourceEntry,
    read_entries,
)
from csl_plugin.training.settings import TrainingSettings, read_settings
from csl_plugin.training.synthetic.dead_leaves import DeadLeaves
from csl_plugin.training.synthetic.objects import Objects, ProceduralObjects, SegmentBank
from csl_plugin.training.synthetic.pasting import Pasting
from csl_plugin.training.synthetic.textures import Textures
from csl_plugin.training.validation import AnomalyScores, Validation

Folder = LabeledFolder | SegmentFolder


@dataclass(frozen=True)
class Recipe:
    """A training: the network, the data, the settings.

    The JSON object has these keys, all paths relative to a data folder:

    - `network`: arguments of `NetworkConfig`.
    - `settings`: arguments of `TrainingSettings`; `steps` is required.
    - `cropping`: arguments of `Cropping`, for all folders.
    - `sources`: folders by a name of your choice, `{"labels_of": "classes", "images": DIR, "labels": DIR,
      "ignore": [ids], "unseen": [ids]}`, where a label is a class and mask split makes the regions; or
      `{"labels_of": "segments", "images": DIR, "labels": DIR, "ignore": [ids]}`, where a label is a segment
      and an image may have several annotations. Pixels of `ignore` may hold anything: they are no region,
      are never pasted, and count in no loss.
    - `textures`: names of sources or folders of pictures, whose crops are textures of procedural shapes;
      without any, all textures are procedural.
    - `objects`: what is pasted, with shares: `{"procedural": 0.4, "<a source of segments>": 0.6}`.
    - `parts`: what a batch is drawn from, `{"source": NAME or "dead-leaves", "share": 3, "paste": [0, 4],
      "lengths": [8, 40]}`, where `paste` is the range of the number of objects and `lengths` that of their
      longer side in pixels of the crop; without it, from 12 pixels to 0.6 of the crop's longer side.
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
        entries: What the document says of the data, checked.

    Raises:
        OptionError: The document holds an unknown name or an invalid value.
    """

    network: NetworkConfig
    settings: TrainingSettings
    document: Mapping[str, Any]
    entries: RecipeEntries = field(init=False)

    def __post_init__(self) -> None:
        data = {name: value for name, value in self.document.items() if name not in ("network", "settings")}
        object.__setattr__(self, "entries", read_entries(data, Place()))

    @staticmethod
    def read(path: Path) -> Recipe:
        """Read a recipe.

        Raises:
            FileError: The file is missing or damaged, or holds an unknown name or an invalid value.
        """
        fields = {"network": read_network_config, "settings": read_settings, **ENTRIES}
        document, place = read_json(path, "a recipe"), Place(str(path))
        given: dict[str, Any] = record(dict, fields, "settings", "parts")(document, place)
        network = given.get("network", NetworkConfig())
        read_entries({name: document[name] for name in given.keys() & ENTRIES.keys()}, place)
        return Recipe(network, given["settings"], document)

    def mixture(self, data: Path) -> Mixture:
        """Open the data.

        Args:
            data: The folder that the recipe's paths are relative to.

        Raises:
            FileError: A folder is missing, or does not hold the files that the recipe needs.
            OptionError: The teacher's maps have another number of classes than the network.
        """
        entries, teacher = self.entries, self._teacher(data)
        sources = {
            name: open_source(entry, data, entries.cropping, teacher if name == entries.taught else None)
            for name, entry in entries.sources.items()
        }
        textures = _textures(entries.textures, sources, data)
        objects = [(_objects(name, sources, textures), share) for name, share in entries.objects.items()]
        parts = [
            Part(
                DeadLeaves(textures) if part.source == DEAD_LEAVES else sources[part.source],
                part.share,
                _pasting(objects, part),
            )
            for part in entries.parts
        ]
        return Mixture(
            parts,
            crop=self.settings.crop,
            seed=self.settings.seed,
            to_regions=mask_split if entries.split else class_regions,
            teacher_classes=0 if teacher is None else teacher.num_classes,
        )

    def validation(self, data: Path) -> Validation | None:
        """Open the data that the moving average is measured on; None where the recipe has no `validation`.

        Args:
            data: As for `mixture`.

        Raises:
            FileError, OptionError: As for `mixture`.
        """
        entry = self.entries.validation
        if entry is None:
            return None
        source = open_source(entry.source, data, Cropping())
        scores = None if entry.scores is None else AnomalyScores(data / entry.scores, entry.anomaly)
        return Validation(source, entry.every, range(len(source))[entry.chosen], scores)

    def load_backbone(self, network: CSLNetwork, data: Path) -> None:
        """Load the weights of the recipe's `backbone`, if it has one, into a new network.

        Raises:
            OptionError, FileError: As for `load_backbone_weights`.
        """
        if (source := self.entries.backbone) is not None:
            load_backbone_weights(network, data / source if os.path.isdir(data / source) else source)  # noqa: PTH112 - never raises

    def _teacher(self, data: Path) -> SavedTeacher | None:
        if (entry := self.entries.teacher) is None:
            return None
        teacher = SavedTeacher(data / entry.maps, logits=entry.logits)
        if teacher.num_classes != self.network.num_classes:
            got = f"{teacher.num_classes} classes"
            hint = f'Set "num_classes": {teacher.num_classes} in "network".'
            raise OptionError("teacher.maps", got, f"the network's {self.network.num_classes}", hint)
        return teacher


def open_source(
    entry: SourceEntry, data: Path, cropping: Cropping, teacher: SavedTeacher | None = None
) -> Folder:
    """The folder of a source.

    Raises:
        FileError: As for `LabeledFolder` and `SegmentFolder`.
    """
    images, labels = data / entry.images, data / entry.labels
    if entry.labels_of == "segments":
        return SegmentFolder(images, labels, ignore=entry.ignore, cropping=cropping, teacher=teacher)
    return LabeledFolder(
        images, labels, ignore=entry.ignore, unseen=entry.unseen, cropping=cropping, teacher=teacher
    )


def _textures(names: tuple[str, ...], sources: Mapping[str, Folder], data: Path) -> Textures:
    pictures: list[Picture] = []
    allowed: list[NDArray[np.bool_] | None] = []
    for name in names:
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


def _pasting(objects: Sequence[tuple[Objects, float]], part: PartEntry) -> Pasting | None:
    if part.paste is None:
        return None
    if part.lengths is None:
        return Pasting(objects, *part.paste)
    shortest, longest = part.lengths
    return Pasting(objects, *part.paste, smallest=shortest, longest=longest)


def _objects(name: str, sources: Mapping[str, Folder], textures: Textures) -> Objects:
    folder = sources.get(name)
    return SegmentBank(folder) if isinstance(folder, SegmentFolder) else ProceduralObjects(textures)
