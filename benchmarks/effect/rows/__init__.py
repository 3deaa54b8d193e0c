"""What the rows of a page are: ways to fuse, schemes, training settings."""
