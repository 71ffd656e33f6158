"""The Train page: setting up, starting, watching, comparing and continuing runs."""
