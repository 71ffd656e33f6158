"""Images as arrays: decode untrusted bytes, prepare them for a network, resize them, draw masks over them."""
