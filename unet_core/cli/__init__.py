"""The command line, `python -m unet_core COMMAND`; `parser.main` is its entry."""
