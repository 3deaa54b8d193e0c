"""The classes that the teacher knows."""

from __future__ import annotations

STREET_CLASSES = ("road", "sidewalk", "building", "pole", "vegetation", "sky", "person", "car")
"""Their names, by index; eight of the nineteen of Cityscapes."""

ROAD, SIDEWALK, BUILDING, POLE, VEGETATION, SKY, PERSON, CAR = range(len(STREET_CLASSES))
UNSEEN = -1
