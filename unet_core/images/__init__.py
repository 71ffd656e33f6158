"""Pictures as arrays: untrusted bytes decoded, prepared for a network, resized, and drawn with a mask."""
