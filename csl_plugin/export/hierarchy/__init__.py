"""The region hierarchy of `proposers.hierarchy` as one graph: the same labels, from loops of fixed shapes."""

__all__: list[str] = []
