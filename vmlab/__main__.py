"""`python -m vmlab`"""

from vmlab.cli import main

main()
