"""`python -m unet_core`."""

import sys

from unet_core.cli.parser import main

sys.exit(main())
