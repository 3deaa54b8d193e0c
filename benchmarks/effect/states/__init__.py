"""What is kept of every fused map: counts that metrics of a whole set are computed from."""
