"""`python -m aiida_hdiff.cli`."""

from aiida_hdiff.cli import main

main()
