"""The command ``spquant``, also as ``python -m spquant_snn``."""

import sys


def main() -> int:
    """Run the command line; a package that it lacks is named in a sentence."""
    from .cli.stopping import stopped
    from .io.output import say_error

    try:
        from .cli.main import main as run

        return run()
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith("spquant_snn"):
            raise
        say_error(f"spquant: this command needs {error.name}: pip install {error.name}")
        return 2
    except KeyboardInterrupt:
        return stopped()


def process() -> int:
    """Run the command line as a process of its own, which Ctrl-C stops at any moment."""
    sys.excepthook = _stopped_early  # at once: what is imported next takes a moment
    from .cli.stopping import run_as_process

    return run_as_process(main)


def _stopped_early(*found: object) -> None:
    if found[0] is KeyboardInterrupt:
        from .cli.stopping import leave

        leave()
    sys.__excepthook__(*found)  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(process())
