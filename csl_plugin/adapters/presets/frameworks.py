"""Models of common frameworks, by their preprocessing and their output classes."""

from __future__ import annotations

from csl_plugin.adapters.inputs import ImageInput
from csl_plugin.adapters.output_path import Items
from csl_plugin.adapters.presets.preset import BGR_BYTES, BYTES, IMAGENET, RGB, Preset, Task, Tested
from csl_plugin.adapters.presets.transformers_outputs import (
    CONDITIONAL_DETR_QUERIES,
    DENSE,
    DETR_QUERIES,
    PROMPTED,
    QUERIES,
    QUERY_SUMS,
    RF_DETR_QUERIES,
    SEMANTIC,
    TransformersItems,
)
from csl_plugin.adapters.presets.ultralytics import Detections
from csl_plugin.adapters.score_kinds import NonNegative, RawScore, ScoreKind, Sigmoid, Softmax

_FRAMEWORK: Task = "framework"
_HALVES = ImageInput((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
_RUN: Tested = "run with random weights"
_SEM_SEG = Items((("sem_seg",),), each=True)
_SCORES = Items((("segmentation_scores",),), each=True, labels=("segmentation",))
_POST = "processor.post_process_semantic_segmentation(..., return_segmentation_scores=True)"
_SAMPLES = Items((("seg_logits", "data"),), each=True, labels=("pred_sem_seg", "data"))


def _transformers(
    name: str,
    title: str,
    images: ImageInput = IMAGENET,
    resolution: str = "input/4",
    score_kind: ScoreKind | None = None,
    output_path: TransformersItems = SEMANTIC,
    note: str = "",
    call: str = "model(pixel_values=x)",
) -> Preset:
    score_kind = Softmax() if score_kind is None else score_kind
    return Preset(
        name, title, _FRAMEWORK, call, score_kind, output_path, images, resolution, note=note, tested=_RUN
    )


def _queries(
    name: str,
    title: str,
    note: str = "",
    output_path: TransformersItems = QUERIES,
    call: str = "model(pixel_values=x)",
) -> Preset:
    kind = QUERY_SUMS[output_path]
    note = f"Classes: {kind.head.note}. Written as queries: see below. {note}".strip()
    return _transformers(name, title, score_kind=kind, output_path=output_path, note=note, call=call)


PRESETS = (
    Preset("logits", "Any tensor of logits", _FRAMEWORK, "model(x)", Softmax(), tested=_RUN),
    Preset("probabilities", "Any tensor of scores >= 0", _FRAMEWORK, "model(x)", NonNegative(), tested=_RUN),
    Preset(
        "torchvision", "torchvision", _FRAMEWORK, "model(x)", Softmax(), Items((("out",),)), IMAGENET,
    ),
    Preset("smp", "segmentation_models_pytorch", _FRAMEWORK, "model(x)", Softmax(), images=IMAGENET,
           note="For one class without an activation: smp_binary; with one: probabilities."),
    Preset("smp_binary", "segmentation_models_pytorch, one class", _FRAMEWORK, "model(x)", Sigmoid(),
           images=IMAGENET),
    Preset("smp_with_label", "segmentation_models_pytorch with aux_params", _FRAMEWORK, "model(x)", Softmax(),
           Items(((0,),)), IMAGENET),
    _transformers("segformer", "SegFormer (transformers)"),
    _transformers("upernet", "UperNet (transformers)", resolution="input"),
    _transformers("dpt", "DPT (transformers)", _HALVES, "input"),
    _transformers("beit", "BEiT (transformers)", _HALVES),
    _transformers("mobilevit", "MobileViT (transformers)", ImageInput(order="BGR"), "input/32 to input/8"),
    _transformers("sapiens2", "Sapiens2 (transformers)", resolution="input/16 times the factor of its head"),
    _transformers("tipsv2_dpt", "TIPSv2 DPT (transformers)", RGB, "input",
                  note="For the model with all heads: tipsv2_dpt_dense."),
    _transformers("tipsv2_dpt_dense", "TIPSv2 DPT with all heads (transformers)", RGB, "input",
                  output_path=DENSE, note="Depth and normals stay as they are."),
    _transformers("clipseg", "CLIPSeg (transformers)", resolution="input", score_kind=Sigmoid(),
                  output_path=PROMPTED,
                  note="One image and one prompt per row of the batch; also takes input_ids."),
    _queries("mask2former", "Mask2Former (transformers)"),
    _queries("maskformer", "MaskFormer (transformers)"),
    _queries("oneformer", "OneFormer (transformers)", "Also takes task_inputs."),
    _queries("eomt", "EoMT (transformers)", "A fixed square input."),
    _queries("eomt_dinov3", "EoMT with DINOv3 (transformers)", "A fixed square input."),
    _queries("videomt", "VidEoMT (transformers)", "One video a call, (1, T, 3, H, W); a fixed square input. "
             "The T frames are a batch: each has regions of its own.", call="model(pixel_values_videos=x)"),
    _queries("detr", "DETR segmentation (transformers)", output_path=DETR_QUERIES),
    _queries("conditional_detr", "Conditional DETR segmentation (transformers)",
             "As its semantic post-processing has it since transformers 5; before, that dropped the last "
             "class, as the panoptic one does.",
             CONDITIONAL_DETR_QUERIES),
    _queries("rf_detr", "RF-DETR segmentation (transformers)",
             "Each query keeps its most probable class alone.", RF_DETR_QUERIES),
    Preset("postprocessed_logits", "Post-processing of per-pixel models (transformers)", _FRAMEWORK, _POST,
           Softmax(), _SCORES, resolution="original", tested=_RUN,
           note="For a function from RGB images in [0, 1] to what the processor of a model with logits "
           "returns, such as SegFormer's. `segmentation` is computed again."),
    Preset("postprocessed_queries", "Post-processing of queries (transformers)", _FRAMEWORK, _POST,
           NonNegative(name="query sum"), _SCORES, resolution="original", tested=_RUN,
           note="The same of a model with queries, such as Mask2Former: the field holds sums over queries."),
    Preset("mmseg0_logits", "mmsegmentation 0.x", _FRAMEWORK, "model.encode_decode(img, img_metas)",
           Softmax(), images=IMAGENET),
    Preset("mmseg0_probabilities", "mmsegmentation 0.x", _FRAMEWORK,
           "model.inference(img, img_metas, rescale)", NonNegative(), images=IMAGENET),
    Preset("mmseg1_logits", "mmsegmentation 1.2", _FRAMEWORK, "inference_model(model, bgr)", Softmax(),
           _SAMPLES, BGR_BYTES, "original", note="pred_sem_seg is computed again."),
    Preset("mmseg1_probabilities", "mmsegmentation 1.x, earlier or with a query head", _FRAMEWORK,
           "inference_model(model, bgr)", NonNegative(), _SAMPLES, BGR_BYTES, "original",
           note="pred_sem_seg is computed again."),
    Preset("detectron2_logits", "detectron2, per-pixel models", _FRAMEWORK, 'model([{"image": x}])',
           Softmax(), _SEM_SEG, BYTES, "original", note="For INPUT.FORMAT RGB."),
    Preset("detectron2_query_sum", "detectron2, mask classification", _FRAMEWORK, 'model([{"image": x}])',
           NonNegative(name="query sum"), _SEM_SEG, BYTES, "original", note="For INPUT.FORMAT RGB."),
    Preset("ultralytics", "ultralytics segmentation", _FRAMEWORK, "model(bgr, retina_masks=True)",
           NonNegative(), Detections(), BGR_BYTES, "original",
           note="Written as one object per class, with the fused map as its mask."),
    Preset("pytorch_ood", "pytorch-ood detectors", _FRAMEWORK, "detector(x)", RawScore(), images=IMAGENET),
)  # fmt: skip
