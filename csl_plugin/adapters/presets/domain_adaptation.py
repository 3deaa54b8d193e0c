"""Domain adaptation: closed-set segmentation networks trained without labels of the target."""

from __future__ import annotations

from csl_plugin.adapters.inputs import ImageInput
from csl_plugin.adapters.output_path import Items
from csl_plugin.adapters.presets.preset import IMAGENET, Preset, Task
from csl_plugin.adapters.score_kinds import NonNegative, Softmax

_ADAPTATION: Task = "domain adaptation"
_CAFFE = ImageInput((104.00698793, 116.66876762, 122.67891434), order="BGR", peak=255.0)
_INFERENCE = "model.inference(img, img_metas, rescale=True)"
_NOTE = "For encode_decode, which returns logits: mmseg0_logits."

PRESETS = (
    Preset(
        "advent", "AdvEnt", _ADAPTATION, "model(x)", Softmax(), Items(((1,),)), _CAFFE, "input/8 + 1",
        align_corners=True, note="The result is at the images' size.",
    ),
    Preset(
        "source_only_deeplabv2", "Source only, DeepLabV2", _ADAPTATION, "model(x)", Softmax(), Items(((1,),)),
        _CAFFE, "input/8 + 1", align_corners=True, note="With multi_level=False the first item is None.",
    ),
    Preset(
        "source_only_segformer", "Source only, SegFormer", _ADAPTATION, _INFERENCE, NonNegative(),
        images=IMAGENET, note="For the model of transformers: segformer. " + _NOTE,
    ),
    Preset("daformer", "DAFormer", _ADAPTATION, _INFERENCE, NonNegative(), images=IMAGENET, note=_NOTE),
    Preset("hrda", "HRDA", _ADAPTATION, _INFERENCE, NonNegative(), images=IMAGENET, note=_NOTE),
    Preset("mic", "MIC", _ADAPTATION, _INFERENCE, NonNegative(), images=IMAGENET, note=_NOTE),
)  # fmt: skip
