"""Synthetic training data: procedural textures and shapes, pasted objects, dead leaves."""

from csl_plugin.training.synthetic.dead_leaves import DeadLeaves
from csl_plugin.training.synthetic.objects import Cutout, Objects, ProceduralObjects, SegmentBank
from csl_plugin.training.synthetic.pasting import Pasting
from csl_plugin.training.synthetic.textures import Textures

__all__ = [
    "Cutout",
    "DeadLeaves",
    "Objects",
    "Pasting",
    "ProceduralObjects",
    "SegmentBank",
    "Textures",
]
