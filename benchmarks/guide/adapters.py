"""Tables of named teachers and proposers: docs/guide/adapters.md.

Run `python -m benchmarks.guide.adapters`. Teachers are `csl_plugin.adapters.PRESETS`, proposers the ROWS of
benchmarks/guide/proposers.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from benchmarks.guide.proposers import COLUMNS, ROWS
from csl_plugin.adapters import PRESETS, Preset
from csl_plugin.adapters.presets.preset import IMAGENET
from csl_plugin.adapters.presets.transformers_outputs import QUERY_SUMS
from csl_plugin.adapters.presets.ultralytics import Detections
from csl_plugin.io import atomic_path

PAGE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "adapters.md"
TASKS = {
    "out-of-distribution": "Out-of-distribution detectors",
    "zero-shot": "Zero-shot segmentation",
    "domain adaptation": "Domain adaptation",
    "framework": "Frameworks",
    "industrial inspection": "Industrial inspection",
}
HEAD = """# Teachers and proposers by name

Written by `python -m benchmarks.guide.adapters` from the declarations in the package; do not edit. A test
compares them.

`CSLWrapper(model, adapter="NAME")` wraps the model of a row; `preset("NAME", ...)` from `csl_plugin.adapters`
gives the adapter where options are needed. "fit one" means that the score has no fixed zero: fit a
`Calibration` to `adapter.raw(model(image))` over in-distribution images and pass it as `calibration=`;
"optional" that one may be passed.
Declare any other model with `OutputAdapter`, and check an adapter of your own with `check_adapter`.

"holds" is the kind of the tensors and their path in the output; "up" means higher for more of the class (more
anomalous). "input" is the order of the channels, the value of white, and mean and standard deviation of the
normalization (ImageNet: mean 0.485 0.456 0.406, std 0.229 0.224 0.225). "tested" is: run with random weights
in the framework's own model code; or on a fabricated output with the structure of the method's source; or on
files. The methods have licenses of their own; none of their code is part of this package.
"""

RECOGNITION = """## What is recognized without a preset

`CSLWrapper(model)` reads these outputs by themselves, and refuses every other one with a message that says
what it saw.

| output | read as |
| --- | --- |
| transformers `SemanticSegmenterOutput` | logits |
QUERY_ROWS
| transformers `CLIPSegImageSegmentationOutput` | binary logits |
| anomalib's `InferenceBatch`, `ImageBatch` and the like, by all four fields | anomaly map |
| another mapping with one tensor (B, C, h, w) under `logits` or `out` | logits; binary logits where C = 1 |
| another mapping with `masks_queries_logits` and `class_queries_logits` | queries |

Of transformers' output classes the class decides, not the names of fields: RF-DETR and Conditional DETR have
DETR's names, but other class scores, so the preset `detr` does not take them. Another mapping is refused
where it also holds boxes, masks or depth, and where its values are all in [0, 1] and sum to 1 over C (with
C = 1: reach both ends), as probabilities do. The scores of a processor's semantic post-processing
(`return_segmentation_scores=True`) have one name for logits and for sums over queries: declare which, with
`postprocessed_logits` or `postprocessed_queries`.

How the images of the call are normalized is taken from the model, not from their values:

| the model | its images are taken to be |
| --- | --- |
| of transformers, its `config.model_type` a preset above | what its processor gives |
| of torchvision | normalized as the preset says |
| any other | RGB in [0, 1] |

The processor is that of `preprocessor_config.json` beside the weights that `from_pretrained` read, in a
folder or in the cache of the Hub; nothing is downloaded. Else it is that of the preset.

The regions are found in the picture with that undone. Values may refute it: images that then leave [0, 1], or
that all lie in [0, 1] before, as RGB does that was never normalized, are an error that says what to pass. To
say it yourself pass a preset: `adapter="segformer"`, or `preset("segformer", mean=(0, 0, 0), std=(1, 1, 1))`
for RGB in [0, 1].

## How queries are written

The output has the model's own queries first, in their order, then further ones. After `CSLWrapper`, the
processor's semantic post-processing gives the fused map, its panoptic and instance post-processing the
segments of the plain output:

- A query whose class has a probability over 1/2 keeps this probability and its mask. It is found at each
  threshold from 1/2 on that finds it in the plain output, with the same score.
- Its label is the class that most of its segment has in the fused map.
- A pixel whose fused class is not that of its segment goes to the segment of that class that claims it most.
  Of two cars each keeps its own pixels. A segment that an overlap kept from being found may be found then.
- Queries with a lower probability are lowered to what the fused map leaves. Thresholds below 1/2 find fewer.
- Each further query is "no object" with a probability of 0.73 and has a mask of at most 1/2, so that no
  threshold finds it; their sum is what the kept queries do not hold of the fused map. RF-DETR's have their
  class with a probability of 0.27.
- The sum over queries is the fused map, or what the kept queries hold where that is more, with the arg max of
  the fused map at each pixel of the masks. With a single class it is exactly the fused map.
- `pred_boxes` of DETR and its kin get a row of zeros for each further query.
- Conditional DETR's classes have none "no object" among them, though its processor takes the last one for it
  where it looks for segments. There a kept query has the model's own class logits, and the mask of any other
  is emptied. A further query has its class with a probability of 0.45 and gives the same to all others: the
  sums of a pixel are those of the fused map and a constant.
- RF-DETR's processor paints the segment of the highest score first, whatever its mask holds at a pixel.

The presets `eam` and `uno` are written likewise, with a score that is exactly the fused map.
"""


UPSTREAM = """## Run once against the methods' own code

With random weights, on a CPU, outside the tests. The output had the type of the input, `images` returned the
RGB to 2e-7, D and the fused map equaled the formula written by hand to the last bit (RPL: 4e-5, where a
fitted quantile map is steep), and `check_adapter` passed.

| method | version | output | patched |
| --- | --- | --- | --- |
| AdvEnt, DeepLabV2 | 3e58d45 | two sets of logits (2, 19, 17, 33), or None and one | nothing |
| ObsNet, SegNet and its observer | 2572ec0 | logits (2, 1, 128, 256) | torchvision absent |
| SML, DeepLabV3+ R101 | c52a513 | logits (2, 19, 128, 256), score (2, 128, 256) | `.cuda`, the download |
| PEBAL | 0293bee | score (128, 256) | `.cuda` |
| RPL | 1a327d5 | two sets of logits (1, 19, 128, 256) | `.cuda` |
| ZegCLIP, ViT-B/16 | 9ba4bb5 | (1, 171, 512, 640), 0.40 to 0.50 | mmseg 0.30; timm, mmcv.ops absent |
| mmsegmentation, SegFormer | 0.30.0 | logits, probabilities, (2, 19, 96, 128) | mmcv.ops absent |
| mmsegmentation, FCN | 1.2.2 | `SegDataSample`s, raw logits (19, 96, 128) | mmcv.ops absent |
| torchvision: DeepLabV3, FCN, LR-ASPP | 0.28.0 | `OrderedDict`, logits (2, 5, 96, 128) | no compiled part |
| segmentation_models_pytorch, U-Net | 0.6.0 | logits, one class, a pair with aux_params | the same |
| pytorch-ood: MaxLogit, EnergyBased, MaxSoftmax | 0.4.0 | scores (2, 96, 128), up | the same |
| ultralytics, YOLOv8n-seg | 8.4.190 | `Results`, masks (50, 96, 128) of uint8 | the same |

SML's own statistics files were read without unpickling, and `standardized_max_logit` of its logits equals its
score before smoothing, to 1e-7 of the largest. `rpl` of RPL's logits equals its published score to 2e-6.
`SlidingWindow` equals mmsegmentation's own to 2e-6. ZegCLIP's scores after its softmax lie between 0.0058 and
0.0064. Without retina_masks=True, an image of 100 x 128 had masks of 128 x 128, which are refused.
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for task, title in TASKS.items():
        rows = [_row(known) for known in PRESETS.values() if known.task == task]
        head = ("name", "method", "call", "holds", "input", "resolution", "calibration", "batch", "tested")
        parts += [f"## {title}\n", _table(head, rows), _notes(task)]
    parts += [
        RECOGNITION.replace("QUERY_ROWS\n", _query_rows()),
        UPSTREAM,
        "## Proposers\n",
        _table(COLUMNS, ROWS),
    ]
    return "\n".join(parts)


def _query_rows() -> str:
    """A line for each way in which queries are read."""
    lines = []
    for path, kind in QUERY_SUMS.items():
        names = ", ".join(f"`{name}`" for name in path.types)
        lines.append(f"| transformers {names} | queries: {kind.head.note} |\n")
    return "".join(lines)


def _row(known: Preset) -> tuple[str, ...]:
    kind, place = known.score_kind, _place(known)
    holds = f"{kind.name}{f' at {place}' if place else ''}, {kind.direction}"
    corners = "" if known.align_corners is None else f", align_corners={known.align_corners}"
    return (
        f"`{known.name}`",
        known.title,
        f"`{known.call}`",
        holds,
        _input(known),
        known.resolution + corners,
        known.calibration,
        str(known.max_batch or "any"),
        known.tested,
    )


def _place(known: Preset) -> str:
    if isinstance(known.output_path, Detections):
        return "`masks`, `boxes`"
    paths = [".".join(map(str, path)) for path in known.output_path.paths if path]  # type: ignore[attr-defined]
    return ", ".join(f"`{path}`" for path in paths)


def _input(known: Preset) -> str:
    images = known.images
    if images == IMAGENET:
        return "RGB, 1, ImageNet"
    text = f"{images.order}, {images.peak:g}"
    if any(images.mean):
        text += ", mean " + " ".join(f"{value:g}" for value in images.mean)
    if set(images.std) != {1.0}:
        text += ", std " + " ".join(f"{value:g}" for value in images.std)
    return text


def _notes(task: str) -> str:
    notes = [
        f"- `{known.name}`: {known.note}" for known in PRESETS.values() if known.task == task and known.note
    ]
    return "\n".join([*notes, ""])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return (
        "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)
        + "\n"
    )


def main() -> None:
    """Write the page."""
    with atomic_path(PAGE) as partial:
        Path(partial).write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
