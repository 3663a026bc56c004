"""``python -m inferry`` is the ``inferry`` command."""

from inferry.cli.main import main

if __name__ == "__main__":
    main()
