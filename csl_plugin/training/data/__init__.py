"""Labeled pictures, and how crops and training regions are made of them."""

from csl_plugin.training.data.augmentation import Appearance, Cropping
from csl_plugin.training.data.folders import LabeledFolder, SegmentFolder
from csl_plugin.training.data.mask_split import class_regions, mask_split
from csl_plugin.training.data.saved_teacher import SavedTeacher
from csl_plugin.training.data.scene import Batch, Sample, Scene, Source

__all__ = [
    "Appearance",
    "Batch",
    "Cropping",
    "LabeledFolder",
    "Sample",
    "SavedTeacher",
    "Scene",
    "SegmentFolder",
    "Source",
    "class_regions",
    "mask_split",
]
