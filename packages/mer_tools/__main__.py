"""The program `mer`: runs a command and says in one sentence what went wrong."""

import signal
import sys
import tempfile
import traceback

from mer_tools import end_children
from mer_tools.commands import mer
from mer_utils import MerError


def app():
    """Run the command line. Exit codes: 1 for bad input, 2 for a wrong option, 70 for an error that
    nobody foresaw (its trace is kept in a file), 130 for Ctrl-C, 128 + n for the signal n.
    """
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # a file's name need not be text
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), _stop)
    try:
        mer()
    except MerError as error:
        sentence, code = str(error), 1
    except OSError as error:  # a disk that is full, a folder that may not be read
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        sentence, code = f"{', '.join(names) or 'a file'}: {error.strerror or error}", 1
    except Exception as error:
        message = " ".join(str(error).split())[:300]
        sentence = f"an error that nobody foresaw ({type(error).__name__}: {message})"
        sentence, code = f"{sentence}; the trace is in {_keep_trace()}", 70
    print(f"mer: {sentence}", file=sys.stderr)
    sys.exit(code)


def _stop(number, frame):
    """End with all child processes; folders in the making are removed on the way out."""
    end_children()
    sys.exit(128 + number)


def _keep_trace():
    """Write the error's trace into a new file and return its path."""
    kind = {"prefix": "mer-", "suffix": ".log", "delete": False, "encoding": "utf-8"}
    with tempfile.NamedTemporaryFile("w", **kind, errors="backslashreplace") as file:
        print(*sys.argv, traceback.format_exc(), sep="\n", file=file)
    return file.name


if __name__ == "__main__":
    app()
