"""The Home page: a photo segmented live."""
