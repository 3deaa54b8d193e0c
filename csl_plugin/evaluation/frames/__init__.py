"""One frame of a benchmark: the source of its scores, its fusion, and its pictures."""
