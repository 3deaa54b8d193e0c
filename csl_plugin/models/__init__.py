"""The CSL network: what proposes regions, and its numbers as JSON and safetensors."""

from csl_plugin.models.backbone_weights import load_backbone_weights
from csl_plugin.models.config import NetworkConfig
from csl_plugin.models.network import CSLNetwork, NetworkOutput
from csl_plugin.models.region_decoder import RegionPrediction

__all__ = ["CSLNetwork", "NetworkConfig", "NetworkOutput", "RegionPrediction", "load_backbone_weights"]
