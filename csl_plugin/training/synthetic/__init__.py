"""Training data that nobody photographed: shapes, textures, pasted objects, dead leaves."""
