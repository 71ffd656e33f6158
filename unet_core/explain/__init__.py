"""A network explained: in words, as source code, drawn, and with what its layers make of a photo."""
