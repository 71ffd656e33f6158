"""What people bring: an error message, Keras source, a network's config; read as data, and explained."""
