"""`mmflow-mcp` and `python -m mmflow_mcp`: the command line."""

import sys

from mmflow_mcp.surfaces.cli import main

if __name__ == "__main__":
    sys.exit(main())
