"""Datasets of one's own: folders and ZIPs read, checked and reported on before anything trains."""
