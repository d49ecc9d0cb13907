"""`python -m crmsync`: the same as the command."""

from crmsync.cli import main

main()
