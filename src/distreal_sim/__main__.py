"""`python -m distreal_sim` is the command `distreal-sim`."""

import os
import sys

if sys.path[:1] in ([""], [os.getcwd()]):
    del sys.path[0]  # before anything is imported: what lies here must not hide a library

from distreal_sim.cli import main

main()
