"""The Home page's live example."""
