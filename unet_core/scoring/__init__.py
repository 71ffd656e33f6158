"""How good and how fast a model is: the same measurement for the command line, training and the Results page."""
