"""Segmentation models of the transformers library as proposers."""

__all__: list[str] = []
