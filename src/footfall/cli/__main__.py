"""`python -m footfall.cli`: the program without its script."""

from footfall.cli import main

main()
