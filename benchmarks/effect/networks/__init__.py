"""Networks that are trained for a page."""
