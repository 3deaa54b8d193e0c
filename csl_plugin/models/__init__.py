"""The CSL network, its configuration as JSON and its weights as safetensors."""

from csl_plugin.models.backbone_weights import load_backbone_weights
from csl_plugin.models.config import NetworkConfig
from csl_plugin.models.network import CSLNetwork, NetworkOutput
from csl_plugin.models.region_decoder import RegionPrediction

__all__ = ["CSLNetwork", "NetworkConfig", "NetworkOutput", "RegionPrediction", "load_backbone_weights"]
