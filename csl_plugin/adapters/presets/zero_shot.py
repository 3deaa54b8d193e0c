"""Zero-shot segmentation: D has a channel for every class, seen and unseen."""

from __future__ import annotations

from csl_plugin.adapters.output_path import Items
from csl_plugin.adapters.presets.preset import BYTES, IMAGENET, Preset, Task
from csl_plugin.adapters.score_kinds import NonNegative

_ZERO_SHOT: Task = "zero-shot"
_SEM_SEG = Items((("sem_seg",),), each=True)
_DETECTRON = 'model([{"image": x}])'
_COCO_STUFF_UNSEEN = (19, 23, 28, 29, 36, 51, 76, 88, 94, 112, 133, 136, 137, 157, 160)
_OFFSET = 'Adds the seen classes\' offset before fusion and subtracts it after, for any rule but "product". '

PRESETS = (
    Preset(
        "zegformer", "ZegFormer", _ZERO_SHOT, _DETECTRON, NonNegative(lowered=0.1, name="query sum"),
        _SEM_SEG, BYTES, "original", note=_OFFSET + "unseen=[...] is required.",
    ),
    Preset(
        "zsseg", "ZSSeg", _ZERO_SHOT, _DETECTRON, NonNegative(name="query sum"), _SEM_SEG, BYTES, "original",
        note="Each input also carries meta.dataset_name.",
    ),
    Preset(
        "zegclip", "ZegCLIP", _ZERO_SHOT, "model.slide_inference(img, img_metas, rescale)",
        NonNegative(_COCO_STUFF_UNSEEN, 0.1, 171), images=IMAGENET,
        note=_OFFSET + "Not model.inference, whose softmax flattens the scores. Pass unseen=[...] for "
        "classes other than the 171 of COCO-Stuff.",
    ),
    Preset(
        "catseg", "CAT-Seg", _ZERO_SHOT, _DETECTRON, NonNegative(), _SEM_SEG, BYTES, "original", max_batch=1,
        note="The model returns scores of the first image only.",
    ),
    Preset(
        "sed", "SED", _ZERO_SHOT, _DETECTRON, NonNegative(), _SEM_SEG, BYTES, "original", max_batch=1,
        note="The model returns scores of the first image only.",
    ),
)  # fmt: skip
