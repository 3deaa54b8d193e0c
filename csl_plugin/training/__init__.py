"""Training of the network that proposes regions: data, losses, and the loop.

`train_recipe` trains what a JSON file describes; `train` trains any `CSLNetwork` on any batches.
"""

from csl_plugin.training.batches import batches
from csl_plugin.training.data import (
    Appearance,
    Batch,
    Cropping,
    LabeledFolder,
    Sample,
    SavedTeacher,
    Scene,
    SegmentFolder,
    Source,
    class_regions,
    mask_split,
)
from csl_plugin.training.loop import train
from csl_plugin.training.mixture import Mixture, Part
from csl_plugin.training.recipe import Recipe
from csl_plugin.training.run import train_recipe
from csl_plugin.training.settings import TrainingSettings
from csl_plugin.training.step import Teacher, take_gradient
from csl_plugin.training.synthetic import (
    Cutout,
    DeadLeaves,
    Objects,
    Pasting,
    ProceduralObjects,
    SegmentBank,
    Textures,
)
from csl_plugin.training.validation import AnomalyScores, Validation

__all__ = [
    "AnomalyScores",
    "Appearance",
    "Batch",
    "Cropping",
    "Cutout",
    "DeadLeaves",
    "LabeledFolder",
    "Mixture",
    "Objects",
    "Part",
    "Pasting",
    "ProceduralObjects",
    "Recipe",
    "Sample",
    "SavedTeacher",
    "Scene",
    "SegmentBank",
    "SegmentFolder",
    "Source",
    "Teacher",
    "Textures",
    "TrainingSettings",
    "Validation",
    "batches",
    "class_regions",
    "mask_split",
    "take_gradient",
    "train",
    "train_recipe",
]
