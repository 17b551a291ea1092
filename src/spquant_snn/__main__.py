"""The command ``spquant``, also as ``python -m spquant_snn``."""

import sys


def main() -> int:
    """Run the command line; a package that it lacks is named in a sentence."""
    try:
        from .cli import main as run

        return run()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("spquant_snn"):
            raise
        print(f"spquant: this command needs {error.name}: pip install {error.name}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
