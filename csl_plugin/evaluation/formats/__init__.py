"""What official evaluators and servers read: one file per format."""
