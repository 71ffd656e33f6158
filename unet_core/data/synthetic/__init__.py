"""Synthetic pets (`pets`) and how they are drawn: outlines, coats, heads, bodies, scenes, and the painter."""
