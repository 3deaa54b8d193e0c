"""Images and scores that are larger than memory: regions tile by tile, fusion band by band."""

from csl_plugin.tiles.fusing import fuse_large
from csl_plugin.tiles.proposing import propose_large
from csl_plugin.tiles.raster import Raster, open_raster

__all__ = ["Raster", "fuse_large", "open_raster", "propose_large"]
