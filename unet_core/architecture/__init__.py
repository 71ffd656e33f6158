"""Configurations of U-Nets and everything that follows from them, in plain integer arithmetic: no Keras, no NumPy."""
