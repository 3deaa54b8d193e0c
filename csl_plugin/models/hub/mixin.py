"""Networks from and to folders and the Hugging Face Hub."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Self

import torch
from huggingface_hub import ModelHubMixin
from torch import nn

from csl_plugin._devices import checked_device
from csl_plugin.models.config import NetworkConfig
from csl_plugin.models.hub.safetensors_io import (
    CONFIG,
    LARGEST_CONFIG,
    largest_weights,
    read_config,
    read_weights,
    write_network,
)
from csl_plugin.models.hub.source import origin
from csl_plugin.models.hub.unfilled import Unfilled
from csl_plugin.models.hub.weight_files import find_weights

_CARD = """---
{{ card_data }}
---

# {{ title | default("A CSL network", true) }}

It proposes the regions of an image, of known and of unknown classes. csl-plugin fuses them with the scores of
any segmentation model.

```python
from csl_plugin.models import CSLNetwork

network = CSLNetwork.from_pretrained("{{ repo_id | default("FOLDER or OWNER/NAME", true) }}")
output = network(images)  # (B, 3, H, W), RGB in [0, 1]
```

`config.json` holds its configuration and `model.safetensors` its weights; nothing in it is a pickle.
{{ text | default("", true) }}
"""


class HubNetwork(
    ModelHubMixin,
    library_name="csl-plugin",
    pipeline_tag="image-segmentation",
    tags=["class-agnostic-segmentation", "region-proposals"],
    model_card_template=_CARD,
):
    """`from_pretrained`, `save_pretrained` and `push_to_hub` for a network.

    Unlike huggingface_hub's mixin for PyTorch, it never reads a pickle, and a missing or unknown name or a
    wrong shape is an error.
    """

    config: NetworkConfig

    @classmethod
    def from_pretrained(  # type: ignore[override]  # no arguments of the constructor: they are in config.json
        cls,
        source: str | os.PathLike[str],
        *,
        subfolder: str | None = None,
        revision: str | None = None,
        variant: str | None = None,
        cache_dir: str | os.PathLike[str] | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
        token: str | bool | None = None,
        device: torch.device | str | None = None,
    ) -> Self:
        """Load a network from a folder or from the Hub, in evaluation mode.

        Only `config.json` and the weights are read: `model.safetensors`, or the shards that
        `model.safetensors.index.json` names, or `model.VARIANT.safetensors`. From the Hub all come from one
        commit, and each is compared with the digest that the Hub states. Weights stored as float16 or
        bfloat16 become float32. Where the Hub does not answer, the cached files are used.

        Args:
            source: A folder that `save_pretrained` wrote, or OWNER/NAME on the Hub; `HF_ENDPOINT` names
                another Hub.
            subfolder: A folder in it that holds the network, such as "models/regions".
            revision: A commit, tag or branch on the Hub. A full commit pins the content, and the Hub is
                contacted only once.
            variant: Of the weights, such as "fp16"; by default none, or the only one that is there.
            cache_dir: The folder of downloads; by default huggingface_hub's cache.
            force_download: Download even what is in the cache.
            local_files_only: Use only the cache.
            token: For the Hub; by default the one that `hf auth login` stored.
            device: The device of the weights; by default the CPU.

        Raises:
            FileError: Nothing is there; the Hub does not answer, or denies access; or the files are damaged,
                too large, of another network, or hold nan.
            OptionError: A revision of a folder, a revision, variant or subfolder that is none, options that
                exclude each other, or a device that is not there.

        Example:
            >>> from tempfile import TemporaryDirectory
            >>> from csl_plugin.models import CSLNetwork, NetworkConfig
            >>> network = CSLNetwork(NetworkConfig(num_queries=8, num_layers=1))
            >>> with TemporaryDirectory() as folder:
            ...     _ = network.save_pretrained(folder)
            ...     CSLNetwork.from_pretrained(folder).config == network.config
            True
        """
        target = checked_device(device)
        files = origin(
            source,
            subfolder=subfolder,
            revision=revision,
            cache_dir=cache_dir,
            force_download=force_download,
            local_files_only=local_files_only,
            token=token,
        )
        config = read_config(files(CONFIG, LARGEST_CONFIG))
        with (
            torch.device("meta"),
            Unfilled(),
        ):  # no memory is allocated before the file is known to fit the configuration
            network = cls(config)
        assert isinstance(network, nn.Module)  # noqa: S101
        network = network.float()  # whatever torch.set_default_dtype says
        expected = network.state_dict()
        weights = read_weights(find_weights(files, largest_weights(expected), variant), expected)
        network.load_state_dict(weights, assign=True)
        return network.to(target).eval()

    def _save_pretrained(self, save_directory: Path) -> None:
        assert isinstance(self, nn.Module)  # noqa: S101
        write_network(save_directory, self.config, self.state_dict())
