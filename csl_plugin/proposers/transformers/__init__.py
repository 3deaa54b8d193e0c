"""Segmentation models of transformers as proposers."""
