"""The command line, `python -m unet_core COMMAND`: one module per command, assembled by `parser`."""
