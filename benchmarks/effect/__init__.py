"""What regions do to scores: a module for each page of docs/results; `make effect` runs all."""
