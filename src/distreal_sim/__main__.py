"""`python -m distreal_sim` is the command `distreal-sim`."""

from distreal_sim.cli import main

main()
