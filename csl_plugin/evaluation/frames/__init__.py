"""One frame of a benchmark: where its scores come from, how it is fused, measured and drawn."""
