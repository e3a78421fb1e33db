"""``python -m fesbench`` is the command line, also where its script is not on the path."""

from fesbench.cli.main import main

if __name__ == "__main__":
    main()
