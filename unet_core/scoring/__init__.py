"""How accurate and how fast a model is, measured the same way for the command line, training and the Results page."""
