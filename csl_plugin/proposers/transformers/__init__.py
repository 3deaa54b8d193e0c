"""Segmentation models of the transformers library as proposers."""
