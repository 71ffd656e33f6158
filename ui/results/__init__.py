"""The Results page: the figures of the shipped models, drawn from their result files."""
