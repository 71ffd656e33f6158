"""A network explained: in words, as source code, as a diagram, and by its feature maps of a photo."""
