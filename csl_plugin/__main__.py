"""`python -m csl_plugin` is `csl-plugin`."""

import sys

from csl_plugin.cli import main

sys.exit(main())
