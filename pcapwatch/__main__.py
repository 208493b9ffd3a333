"""``python -m pcapwatch``."""

from pcapwatch.cli import main

if __name__ == "__main__":
    main()
