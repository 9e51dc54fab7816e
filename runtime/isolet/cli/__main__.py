"""`python -m isolet.cli`: the same as `isolet`, where the script is not on the path."""

from .verbs import main

if __name__ == "__main__":
    main()
