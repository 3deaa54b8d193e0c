"""ImageNet weights for the backbone, under torchvision's names."""

from __future__ import annotations

import os

from csl_plugin.errors import OptionError
from csl_plugin.models.hub.safetensors_io import largest_weights, read_weights
from csl_plugin.models.hub.source import origin
from csl_plugin.models.hub.weight_files import find_weights
from csl_plugin.models.network import CSLNetwork
from csl_plugin.models.resnet import ResNet50

_CLASSIFIER = frozenset({"fc.weight", "fc.bias"})
_COUNTER = "num_batches_tracked"


def load_backbone_weights(
    network: CSLNetwork,
    source: str | os.PathLike[str],
    *,
    revision: str | None = None,
    variant: str | None = None,
    cache_dir: str | os.PathLike[str] | None = None,
    local_files_only: bool = False,
    token: str | bool | None = None,
) -> None:
    """Load public weights of a ResNet-50 into a network's backbone.

    The file must hold every weight of the backbone in its shape, and nothing else but the classifier `fc`,
    which is ignored. The counters of batch norms may be missing: they have no effect.

    Args:
        network: With the backbone "resnet50"; modified in place.
        source: A folder with `model.safetensors`, or OWNER/NAME on the Hub, such as "timm/resnet50.a1_in1k".
        revision: A commit, tag or branch on the Hub.
        variant: Of the weights, such as "fp16".
        cache_dir: The folder of downloads; by default huggingface_hub's cache.
        local_files_only: Use only the cache.
        token: For the Hub; by default the one that `hf auth login` stored.

    Raises:
        OptionError: The network has another backbone, or a revision of a folder.
        FileError: As for `CSLNetwork.from_pretrained`; the network is then unchanged.

    Source:
        He et al. 2016; the names are torchvision's, which timm shares.
    """
    backbone = network.backbone
    if not isinstance(backbone, ResNet50):
        hint = 'Build it with NetworkConfig(backbone="resnet50").'
        raise OptionError("network", f"the backbone {network.config.backbone!r}", "'resnet50'", hint)
    files = origin(
        source, revision=revision, cache_dir=cache_dir, local_files_only=local_files_only, token=token
    )
    expected = backbone.state_dict()
    counters = frozenset(name for name in expected if name.endswith(_COUNTER))
    found = find_weights(files, largest_weights(expected), variant)
    weights = read_weights(found, expected, optional=counters, ignored=_CLASSIFIER)
    backbone.load_state_dict({**expected, **weights})
