"""The shipped models: the manifest that lists them with their hashes, and their export to other formats."""
