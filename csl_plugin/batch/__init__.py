"""Fusion of batches of columns, as Ray Data, Spark, Daft and datasets hand them to a function."""

from csl_plugin.batch.fuser import Fuser

__all__ = ["Fuser"]
