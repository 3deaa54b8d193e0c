"""What regions do to scores: each module writes a page of docs/results."""
