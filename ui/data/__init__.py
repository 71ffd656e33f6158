"""The Data page: datasets browsed, measured, varied, and brought by the visitor."""
