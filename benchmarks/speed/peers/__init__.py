"""Other implementations: the equations in plain torch, and other programs."""
