"""The contestants that are not ours: the equations as one writes them, and other people's programs."""
