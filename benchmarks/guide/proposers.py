"""The rows of proposers in docs/guide/adapters.md."""

COLUMNS = ("source", "proposer", "what it gives", "validity", "tested")
_QUERIES = "`load_proposer(FOLDER or OWNER/NAME)`, `proposer_from_model(model)`"
_OBJECT = '"object": 1 - P(no object), or "class": the largest class probability; of one class, its own'
_GIVEN = "`regions_from_masks`"
_OVERLAP = "score: the highest is on top"

ROWS: tuple[tuple[str, str, str, str, str], ...] = (
    ("`csl-tiny`", "CSL network, eq. 2 along its boundaries", "region map", "-", "run with its weights"),
    ("`csl-tiny-strict`", "the same, other training data", "region map", "-", "run with its weights"),
    ("`csl-tiny-open`", "the same, procedural shapes only", "region map", "-", "run with its weights"),
    ("`superpixels`", "merged superpixels", "region map", "-", "run"),
    ("transformers Mask2Former", _QUERIES, "soft R at stride 4", _OBJECT, "run with random weights"),
    ("transformers MaskFormer", _QUERIES, "soft R at stride 4", _OBJECT, "run with random weights"),
    (
        "transformers OneFormer",
        _QUERIES + ', `task="panoptic"`, "instance" or "semantic"',
        "soft R at stride 4",
        _OBJECT,
        "run with random weights",
    ),
    (
        "transformers EoMT",
        _QUERIES,
        "soft R at a quarter of its square, padding cropped",
        _OBJECT,
        "run with random weights",
    ),
    ("transformers DETR with masks", _QUERIES, "soft R at stride 4", _OBJECT, "run with random weights"),
    (
        "transformers SAM",
        _QUERIES + ", `points_per_side`, `num_regions`",
        "soft R at 256, padding cropped",
        "predicted IoU, cut to [0, 1]",
        "run with random weights",
    ),
    (
        "transformers SAM2",
        _QUERIES + ", `points_per_side`, `num_regions`",
        "soft R at 256 x 256",
        "predicted IoU x P(object)",
        "run with random weights",
    ),
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
