"""The command line, `python -m unet_core COMMAND`: one module a command, put together by `parser`."""
