"""`python -m unet_core`."""

import sys

from unet_core.cli import main

sys.exit(main())
