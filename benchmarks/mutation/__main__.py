"""``python -m benchmarks.mutation``."""

import sys

from benchmarks.mutation.run import main

sys.exit(main())
