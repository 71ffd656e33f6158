"""How synthetic pets are drawn: outlines, coats, heads, bodies, scenes, and the painter that makes pixels of them."""
