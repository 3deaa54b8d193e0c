"""From a fused map to the objects in it."""

from csl_plugin.objects.finding import find_objects
from csl_plugin.objects.instances import Objects

__all__ = ["Objects", "find_objects"]
