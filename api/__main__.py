"""``python -m sardonyx`` is the command ``sardonyx``."""

from .cli.app import main

if __name__ == "__main__":
    main()
