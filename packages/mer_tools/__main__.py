"""The program `mer`: runs a command and says in one sentence what went wrong."""

import errno
import signal
import sys
import tempfile
import traceback
from contextlib import suppress

from mer_tools.commands import mer
from mer_utils import MerError

import psutil

# what a disk may refuse: no fault of the program
REFUSED = "EACCES EDQUOT EIO EISDIR ELOOP EMFILE ENAMETOOLONG ENOSPC ENOTDIR EPERM EROFS"
DISK = {getattr(errno, name, None) for name in REFUSED.split()}


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
    except Exception as error:
        refused = isinstance(error, OSError) and error.errno in DISK and error.filename is not None
        sentence, code = _describe(error), 1 if refused else 70
        if not refused:
            sentence += _keep_trace(error)
    print(f"mer: {sentence}", file=sys.stderr)
    sys.exit(code)


def _stop(number, frame):
    """End with all child processes; folders in the making are removed on the way out."""
    for child in psutil.Process().children(recursive=True):
        with suppress(psutil.Error):  # it may have ended; the tracker tidies up behind the others
            if not any("resource_tracker" in word for word in child.cmdline()):
                child.kill()
    sys.exit(128 + number)


def _describe(error):
    """Return one sentence about an error that a library raised, with the file if it is known."""
    if isinstance(error, OSError) and error.strerror:
        names = [str(name) for name in (error.filename, error.filename2) if name is not None]
        return f"{', '.join(names) or 'a file'}: {error.strerror}"
    message = " ".join(str(error).split())[:300]
    return f"an error that nobody foresaw ({type(error).__name__}: {message})"


def _keep_trace(error):
    """Write an error's trace into a new file; return where it is, as the end of a sentence."""
    named = {"prefix": "mer-", "suffix": ".log", "delete": False}
    coded = {"encoding": "utf-8", "errors": "backslashreplace"}
    try:
        with tempfile.NamedTemporaryFile("w", **named, **coded) as file:
            print(*sys.argv, file=file)
            traceback.print_exception(error, file=file)
    except OSError:
        return "; no trace can be written"
    return f"; the trace is in {file.name}"


if __name__ == "__main__":
    app()
