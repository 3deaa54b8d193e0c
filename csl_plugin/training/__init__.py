"""Training the network that proposes: data, and what is made of it."""

from csl_plugin.training.batches import batches
from csl_plugin.training.data.augmentation import Appearance, Cropping
from csl_plugin.training.data.folders import LabeledFolder, SegmentFolder
from csl_plugin.training.data.mask_split import class_regions, mask_split
from csl_plugin.training.data.saved_teacher import SavedTeacher
from csl_plugin.training.data.scene import Batch, Sample, Scene
from csl_plugin.training.mixture import Mixture, Part
from csl_plugin.training.processes import Processes
from csl_plugin.training.recipe import Recipe
from csl_plugin.training.run import train_recipe
from csl_plugin.training.settings import TrainingSettings
from csl_plugin.training.synthetic.dead_leaves import DeadLeaves
from csl_plugin.training.synthetic.objects import ProceduralObjects, SegmentBank
from csl_plugin.training.synthetic.pasting import Pasting
from csl_plugin.training.synthetic.textures import Textures
from csl_plugin.training.validation import AnomalyScores, Validation

__all__ = [
    "AnomalyScores",
    "Appearance",
    "Batch",
    "Cropping",
    "DeadLeaves",
    "LabeledFolder",
    "Mixture",
    "Part",
    "Pasting",
    "ProceduralObjects",
    "Processes",
    "Recipe",
    "Sample",
    "SavedTeacher",
    "Scene",
    "SegmentBank",
    "SegmentFolder",
    "Textures",
    "TrainingSettings",
    "Validation",
    "batches",
    "class_regions",
    "mask_split",
    "train_recipe",
]
