"""What every page shares: its command line, metrics of methods on the same frames, tables."""
