"""From a fused map to the objects in it."""

from csl_plugin.objects.finding import find_objects
from csl_plugin.objects.instances import Objects
from csl_plugin.objects.threshold import Threshold

__all__ = ["Objects", "Threshold", "find_objects"]
