"""What a U-Net is and what follows from it, in plain integer arithmetic: no TensorFlow, no Keras, no NumPy."""
