"""Read and write images, labels, score maps and region maps.

Every file is treated as hostile: sizes are checked before memory is allocated. Writes are atomic.
"""

from csl_plugin.io.atomic import atomic_path
from csl_plugin.io.coco_rle import encode_rle, read_run_lengths
from csl_plugin.io.images import IMAGE_SUFFIXES, image_batch, list_images, read_image, write_png
from csl_plugin.io.labels import png_size, read_label_png
from csl_plugin.io.limits import MAX_BYTES, MAX_PIXELS
from csl_plugin.io.listing import files_by_stem, holding, other_suffixes, stem_key
from csl_plugin.io.region_maps import REGION_SUFFIXES, read_region_map, write_region_map
from csl_plugin.io.scores import (
    SCORE_SUFFIXES,
    ScoreStorage,
    read_score_file,
    read_scores,
    write_scores,
)

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_BYTES",
    "MAX_PIXELS",
    "REGION_SUFFIXES",
    "SCORE_SUFFIXES",
    "ScoreStorage",
    "atomic_path",
    "encode_rle",
    "files_by_stem",
    "holding",
    "image_batch",
    "list_images",
    "other_suffixes",
    "png_size",
    "read_image",
    "read_label_png",
    "read_region_map",
    "read_run_lengths",
    "read_score_file",
    "read_scores",
    "stem_key",
    "write_png",
    "write_region_map",
    "write_scores",
]
