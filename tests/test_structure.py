"""The layout: imports point down, no cycle, small files, and every public name where the docs say it is."""

from __future__ import annotations

import importlib
import inspect

import pytest

import csl_plugin
from tests.helpers.structure import cycles, imports, modules, part, parts

# From the ground up: a part imports from parts that stand before it, and from none after it.
ORDER = [
    "errors", "_nearest", "_version", "places", "_opencv", "_entry_points", "_graph_break",
    "_torch_internals", "_autocast", "_tracing", "arrays", "_options", "_devices", "_processes", "_shards",
    "distributed", "ops", "regions", "io", "viz", "metrics", "datasets", "calibration", "fusion", "objects",
    "models", "adapters", "proposers", "tiles", "batch", "export", "end_to_end", "wrapper", "training",
    "demo", "", "evaluation", "app", "cli", "__main__",
]  # fmt: skip

# Kernels are written out for the compiler; the next larger file would have to be split.
LARGE = {"csl_plugin.ops.triton.assign": 420}

SURFACE = {
    "csl_plugin": [
        "CSLError", "CSLWrapper", "Calibration", "Objects", "RegionMap", "RegionProposals", "Threshold",
        "find_objects", "fuse", "fuse_labels", "hard_assignment", "load_proposer", "soft_assignment",
        "split_components",
    ],
    "csl_plugin.adapters": [
        "Adapter", "ClassStatistics", "FlipAverage", "ObserverPair", "OutputAdapter", "PRESETS", "Preset",
        "SavedScores", "SlidingWindow", "check_adapter", "preset", "recognize",
    ],
    "csl_plugin.app": ["build_app", "launch"],
    "csl_plugin.batch": ["Fuser"],
    "csl_plugin.calibration": ["Calibration"],
    "csl_plugin.datasets": ["DATASETS", "open_dataset"],
    "csl_plugin.demo": [
        "Demonstration", "STREET_CLASSES", "STREET_SEED", "Street", "StreetDemonstration", "StreetTeacher",
        "demonstrate", "demonstrate_street", "draw_street", "load_teacher", "rx_score",
    ],
    "csl_plugin.end_to_end": ["EndToEnd"],
    "csl_plugin.errors": [
        "CSLError", "DTypeError", "DeviceError", "FileError", "MissingExtraError", "OptionError",
        "OutputError", "ScoreRangeError", "ShapeError",
    ],
    "csl_plugin.evaluation": ["run_benchmark"],
    "csl_plugin.export": ["FusionGraph", "Graph", "NetworkGraph", "StageGraph", "exported", "to_onnx"],
    "csl_plugin.fusion": ["Regions", "Rule", "fuse", "fuse_labels"],
    "csl_plugin.io": ["read_image", "read_region_map", "read_scores", "write_region_map", "write_scores"],
    "csl_plugin.metrics": [
        "ImageAnomaly", "InstanceAP", "ObjectMetric", "PooledAnomaly", "RegionOverlap", "RegionQuality",
        "Reliability", "SemanticMetric", "bootstrap_difference",
    ],
    "csl_plugin.places": ["RemotePath", "place_of"],
    "csl_plugin.models": ["CSLNetwork", "NetworkConfig", "load_backbone_weights"],
    "csl_plugin.objects": [
        "Objects", "Polygon", "Threshold", "find_objects", "objects_picture", "polygons_of",
    ],
    "csl_plugin.objects.formats": [
        "brush_results", "polygon_results", "read_coco", "read_images", "read_objects", "to_supervision",
        "write_boxes", "write_coco", "write_label_map", "write_label_studio", "write_objects",
        "write_polygons",
    ],
    "csl_plugin.proposers": [
        "ImageProposer", "Images", "NetworkProposals", "NetworkRegions", "Proposer", "RegionMapFolder",
        "Superpixels", "load_proposer", "proposer_from_model", "regions_from_masks",
    ],
    "csl_plugin.regions": [
        "RegionMap", "RegionProposals", "hard_assignment", "soft_assignment", "split_components",
    ],
    "csl_plugin.tiles": ["Raster", "fuse_large", "open_raster", "propose_large"],
    "csl_plugin.training": [
        "LabeledFolder", "Recipe", "SavedTeacher", "SegmentFolder", "TrainingSettings", "Validation",
        "mask_split", "train",
    ],
    "csl_plugin.viz": [
        "BeforeAfter", "before_after", "fusion_picture", "outline", "overlay", "side_by_side",
    ],
    "csl_plugin.wrapper": ["CSLWrapper"],
}  # fmt: skip


def test_no_module_and_no_part_is_in_a_cycle():
    graph = imports()
    assert cycles(graph) == []
    assert cycles(parts(graph)) == []


def test_imports_point_down():
    place = {("csl_plugin." + name).rstrip("."): number for number, name in enumerate(ORDER)}
    between = parts(imports())
    assert set(between) == set(place)
    upward = [
        (above, below) for above, used in between.items() for below in used if place[below] > place[above]
    ]
    assert upward == []


def test_files_are_small():
    lines = {name: len(path.read_text(encoding="utf-8").splitlines()) for name, path in modules().items()}
    assert {name: count for name, count in lines.items() if count > LARGE.get(name, 350)} == {}


@pytest.mark.parametrize("place", SURFACE)
def test_every_public_name_is_where_the_docs_name_it(place):
    module = importlib.import_module(place)
    assert set(SURFACE[place]) <= set(module.__all__)
    for name in module.__all__:
        assert hasattr(module, name), name


def test_dir_shows_the_public_names_alone():
    assert dir(csl_plugin) == sorted(SURFACE["csl_plugin"])
    assert sorted(csl_plugin.__all__) == dir(csl_plugin)


@pytest.mark.parametrize("place", sorted(modules()))
def test_a_module_outside_every_package_with_public_names_is_private(place):
    """Each module is private by its name, or its package's `__init__` says what is public."""
    if place.startswith("csl_plugin.ops.triton"):
        pytest.importorskip("triton")
    parent = place.rpartition(".")[0]
    private = any(word.startswith("_") for word in place.split("."))
    module = place if parent in ("", "csl_plugin") else parent
    if not private:
        assert hasattr(importlib.import_module(module), "__all__"), place


def test_public_classes_and_functions_are_documented():
    for place, names in SURFACE.items():
        module = importlib.import_module(place)
        for name in names:
            value = getattr(module, name)
            if inspect.isclass(value) or inspect.isfunction(value):
                assert inspect.getdoc(value), f"{place}.{name}"


def test_parts_are_named_once():
    assert len(ORDER) == len(set(ORDER))
    assert {part(name) for name in modules()} == {("csl_plugin." + name).rstrip(".") for name in ORDER}
