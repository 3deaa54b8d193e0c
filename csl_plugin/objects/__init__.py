"""From a fused map to the objects in it."""

from csl_plugin.objects.finding import find_objects
from csl_plugin.objects.instances import Objects
from csl_plugin.objects.picture import objects_picture
from csl_plugin.objects.polygons import Polygon, polygons_of
from csl_plugin.objects.threshold import Threshold

__all__ = ["Objects", "Polygon", "Threshold", "find_objects", "objects_picture", "polygons_of"]
