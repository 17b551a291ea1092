"""``python -m spquant_snn`` is ``spquant``."""

import sys

from .cli import main

sys.exit(main())
