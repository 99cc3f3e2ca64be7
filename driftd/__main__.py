"""Turns the key: ``python -m driftd`` and the ``driftd`` command."""

from driftd.wiring import main

if __name__ == "__main__":
    main()
