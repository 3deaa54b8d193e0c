"""Generators of docs/guide/adapters.md, docs/guide/hub.md and two pictures of docs/images."""
