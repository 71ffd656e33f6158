"""Keras source that is read and never run: an interpreter of the part of Python in which networks are written."""

from unet_core.foreign.source.reading import MAX_SOURCE, SourceError, looks_like_source, read_source, read_values

__all__ = ["MAX_SOURCE", "SourceError", "looks_like_source", "read_source", "read_values"]
