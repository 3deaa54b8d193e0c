"""Output paths of the output classes of transformers: equal names of fields mean different things there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from torch import Tensor
from torch.nn import functional as F

from csl_plugin.adapters.output_path import Items, contents
from csl_plugin.adapters.presets.class_heads import Exhaustive, Sigmoids
from csl_plugin.adapters.presets.queries import QuerySum
from csl_plugin.errors import OutputError

_MASKS = "It holds masks without classes: use the model as a proposer, load_proposer(name)."
_DENSE = 'It holds logits as "segmentation_logits": pass the preset "tipsv2_dpt_dense".'
_SIGMOIDS = 'Its class scores are sigmoids: pass the preset "rf_detr".'
_WITHOUT_NONE = 'Its classes have no "no object" among them: pass the preset "conditional_detr".'
_HINTS = {
    "SamImageSegmentationOutput": _MASKS,
    "SamHQImageSegmentationOutput": _MASKS,
    "Sam2ImageSegmentationOutput": _MASKS,
    "EdgeTamImageSegmentationOutput": _MASKS,
    "Sam3TrackerImageSegmentationOutput": _MASKS,
    "Tipsv2DptDensePredictorOutput": _DENSE,
    "RfDetrInstanceSegmentationOutput": _SIGMOIDS,
    "ConditionalDetrSegmentationOutput": _WITHOUT_NONE,
}
_OTHER = "Pass the preset of this model, or an adapter of your own."


@dataclass(frozen=True)
class TransformersItems(Items):
    """Tensors in an output of a model of transformers; its class decides what their names mean.

    Args:
        types: The names of the output classes whose fields hold this. An output that is no class of
            transformers, such as a dictionary, is read by its keys.
        per_query: The steps to other tensors (B, Q, ...) with a row for each query; rows of zeros are added
            for the queries that are added.
    """

    types: tuple[str, ...] = ()
    per_query: tuple[str, ...] = ()

    def take(self, output: Any) -> tuple[Tensor, ...]:
        """The tensors at the paths.

        Raises:
            OutputError: There is no tensor, or the output is of another class of transformers.
        """
        kind = output_class(output)
        if kind is not None and kind not in self.types:
            raise OutputError("model output", contents(output), " or ".join(self.types), class_hint(kind))
        return super().take(output)

    def put(self, output: Any, tensors: Sequence[Tensor]) -> Any:
        """A copy of the output with `tensors` at the paths, and a row for each query in the others."""
        for name in self.per_query:
            rows = output.get(name) if isinstance(output, Mapping) else getattr(output, name, None)
            if isinstance(rows, Tensor) and rows.ndim > 1 and rows.shape[1] < tensors[0].shape[1]:
                spare = [0, 0] * (rows.ndim - 2) + [0, tensors[0].shape[1] - rows.shape[1]]
                output = Items(((name,),)).put(output, [F.pad(rows, spare)])
        return super().put(output, tensors)


SEMANTIC = TransformersItems((("logits",),), types=("SemanticSegmenterOutput",))
PROMPTED = TransformersItems((("logits",),), types=("CLIPSegImageSegmentationOutput",))
QUERIES = TransformersItems(
    (("masks_queries_logits",), ("class_queries_logits",)),
    types=(
        "Mask2FormerForUniversalSegmentationOutput",
        "MaskFormerForInstanceSegmentationOutput",
        "OneFormerForUniversalSegmentationOutput",
        "EomtForUniversalSegmentationOutput",
        "EomtDinov3ForUniversalSegmentationOutput",
        "VideomtForUniversalSegmentationOutput",
    ),
)
DETR_QUERIES = TransformersItems(
    (("pred_masks",), ("logits",)), types=("DetrSegmentationOutput",), per_query=("pred_boxes",)
)
CONDITIONAL_DETR_QUERIES = replace(DETR_QUERIES, types=("ConditionalDetrSegmentationOutput",))
RF_DETR_QUERIES = replace(DETR_QUERIES, types=("RfDetrInstanceSegmentationOutput",))
DENSE = TransformersItems((("segmentation_logits",),), types=("Tipsv2DptDensePredictorOutput",))

QUERY_SUMS: Mapping[TransformersItems, QuerySum] = MappingProxyType(
    {
        QUERIES: QuerySum(),
        DETR_QUERIES: QuerySum(),
        CONDITIONAL_DETR_QUERIES: QuerySum(Exhaustive()),
        RF_DETR_QUERIES: QuerySum(Sigmoids()),
    }
)
"""How the queries of each output are read: equal names are a softmax in DETR, sigmoids in RF-DETR."""


def output_class(output: Any) -> str | None:
    """The name of an output's class if transformers defines it, else None."""
    kind = type(output)
    return kind.__name__ if kind.__module__.split(".", 1)[0] == "transformers" else None


def class_hint(kind: str) -> str:
    """What to do with an output class that a path does not read."""
    return _HINTS.get(kind, _OTHER)
