"""What objects are written as, and read back."""

from csl_plugin.objects.formats.boxes import write_boxes
from csl_plugin.objects.formats.coco import read_coco, write_coco
from csl_plugin.objects.formats.coco_images import read_images
from csl_plugin.objects.formats.detections import to_supervision
from csl_plugin.objects.formats.label_map import write_label_map
from csl_plugin.objects.formats.label_studio import brush_results, polygon_results, write_label_studio
from csl_plugin.objects.formats.plain import read_objects, write_objects
from csl_plugin.objects.formats.polygon_file import write_polygons

__all__ = [
    "brush_results",
    "polygon_results",
    "read_coco",
    "read_images",
    "read_objects",
    "to_supervision",
    "write_boxes",
    "write_coco",
    "write_label_map",
    "write_label_studio",
    "write_objects",
    "write_polygons",
]
