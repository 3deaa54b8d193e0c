"""The rows of proposers in docs/guide/adapters.md; those of transformers from the table of the package."""

from csl_plugin.proposers.transformers.families import MODEL_TYPES, SIGMOIDS, PointFamily, QueryFamily
from csl_plugin.proposers.transformers.frames import AnySize, PaddedSquare, StretchedSquare

COLUMNS = ("source", "proposer", "what it gives", "validity", "tested")
_LOADED = "`load_proposer(FOLDER or OWNER/NAME)`, `proposer_from_model(model)`"
_OBJECT = '"object": 1 - P(no object), or "class": the largest class probability; of one class, its own'
_TASK = ', `task="panoptic"`, "instance" or "semantic"'
_GIVEN = "`regions_from_masks`"
_OVERLAP = "score: the highest is on top"


_REGIONS = {
    AnySize: "soft R at stride 4, padding cropped",
    PaddedSquare: "soft R of its square, padding cropped",
    StretchedSquare: "soft R of its square, to which the image is stretched",
}


def _row(family: QueryFamily | PointFamily) -> tuple[str, str, str, str, str]:
    """A kind of model of transformers."""
    if isinstance(family, PointFamily):
        call = _LOADED + ", `points_per_side`, `num_regions`"
        validity = "predicted IoU, cut to [0, 1], x P(object) where the network states it"
    else:
        call = _LOADED + (_TASK if family.call == "images and task" else "")
        validity = "the largest class probability" if family.classes is SIGMOIDS else _OBJECT
    source = f"transformers {family.title}: `{family.model_type}`"
    return source, call, _REGIONS[family.frame], validity, "run with random weights"  # type: ignore[index]


ROWS: tuple[tuple[str, str, str, str, str], ...] = (
    ("`csl-tiny`", "CSL network, eq. 2 along its boundaries", "region map", "-", "run with its weights"),
    ("`csl-tiny-strict`", "the same, other training data", "region map", "-", "run with its weights"),
    ("`csl-tiny-open`", "the same, procedural shapes only", "region map", "-", "run with its weights"),
    ("`superpixels`", "merged superpixels", "region map", "-", "run"),
    *map(_row, MODEL_TYPES.values()),
    ("transformers mask generation", _GIVEN, "region map", _OVERLAP, "fabricated output"),
    (
        "segment-anything, SAM2 mask generators",
        _GIVEN + ": booleans or run lengths",
        "region map",
        "`predicted_iou`: the highest is on top",
        "fabricated output, saved files",
    ),
    (
        "transformers panoptic and instance post-processing",
        _GIVEN + ": `segmentation` with `segments_info`",
        "region map, a region an id",
        "-",
        "run with a processor",
    ),
    ("detectron2 `panoptic_seg`", _GIVEN, "region map, a region an id", "-", "fabricated output"),
    ("CropFormer, detectron2 `Instances`", _GIVEN, "region map", _OVERLAP, "fabricated output"),
    ("torchvision detectors, supervision `Detections`", _GIVEN, "region map", _OVERLAP, "fabricated output"),
    (
        "FastSAM, ultralytics `Results`",
        _GIVEN + ", letterbox undone",
        "region map",
        "`boxes.conf`: the highest is on top",
        "fabricated output",
    ),
    ("EntitySeg `.npz`", "folder, `read_regions`", "region map, 255 unassigned", "-", "saved files"),
    ("masks as `.json` or `.npz`", "folder, `read_regions`", "region map", _OVERLAP, "saved files"),
    ("folder of `.png`, `.npz`", "`RegionMapFolder`", "region map", "-", "saved files"),
    (
        "a name of another package",
        'entry point group "csl_plugin.proposers"',
        "the output of its factory",
        "-",
        "run with a package of the tests",
    ),
)
