"""`python -m scgcnet.cli`, for what names an interpreter: the workflow, torchrun."""

import sys

from scgcnet.cli import main

sys.exit(main())
