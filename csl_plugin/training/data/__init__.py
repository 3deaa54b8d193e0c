"""Labeled pictures, and what is made of them."""
