"""`python -m headgate` is `headgate`."""

from .cli import main

main()
