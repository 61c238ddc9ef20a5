"""`python -m fastconv.examples` is `fastconv gallery`."""

import sys

from fastconv.cli import main

if __name__ == "__main__":
    sys.exit(main(["gallery", *sys.argv[1:]]))
