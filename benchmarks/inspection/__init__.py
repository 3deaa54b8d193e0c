"""What fusion does to anomaly maps of industrial inspection, on textures with defects that are made here."""
