"""Labels of anomalies over which a metric is not defined: what they hold, and which of them are an error."""

from __future__ import annotations

from csl_plugin.cli.eval.measuring import label_values, named_values
from csl_plugin.cli.eval.pairs import Pairs
from csl_plugin.errors import FileError
from csl_plugin.places import Place

_EXPECTED = "0 for normal and 1 for anomalous pixels"


def one_sided(labels: Place, pairs: Pairs, metrics: str) -> str:
    """The warning that metrics are undefined: no pixel is anomalous, or none is normal.

    Args:
        labels: The place of the labels.
        pairs: Their files, which are read again.
        metrics: Their names.

    Raises:
        FileError: The labels are binary masks of 0 and 255, or hold neither 0 nor 1.
    """
    found = label_values(pairs)
    if found == [0, 255]:
        hint = "255 is void here. Where it means anomalous, divide the labels by 255 and save them again."
        raise FileError(str(labels), "labels of 0 and 255", _EXPECTED, hint)
    if not {0, 1} & set(found):
        got = f"labels of {named_values(found)}"
        raise FileError(str(labels), got, _EXPECTED, "Map your labels onto these values.")
    missing = "anomalous (1)" if 1 not in found else "normal (0)"
    return (
        f"no pixel is {missing}, so {metrics} are not defined; the labels hold "
        f"{named_values(found)}. Save normal pixels as 0 and anomalous ones as 1"
    )
