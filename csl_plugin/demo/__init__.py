"""The demonstration of `csl-plugin demo`: a drawn street, a teacher of such streets, and one picture."""

from csl_plugin.demo.picture import Demonstration, demonstrate
from csl_plugin.demo.rx import rx_score
from csl_plugin.demo.street import STREET_CLASSES, Street, StreetTeacher, draw_street, load_teacher
from csl_plugin.demo.street_picture import STREET_SEED, StreetDemonstration, demonstrate_street

__all__ = [
    "STREET_CLASSES",
    "STREET_SEED",
    "Demonstration",
    "Street",
    "StreetDemonstration",
    "StreetTeacher",
    "demonstrate",
    "demonstrate_street",
    "draw_street",
    "load_teacher",
    "rx_score",
]
