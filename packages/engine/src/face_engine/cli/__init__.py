"""face-engine: detect | compare | evaluate | benchmark | doctor.

Results go to stdout, everything else to stderr. Exit status: 0 all was answered, 1 a photo could not be,
2 wrong usage, 3 the runtime, the device or the weights are not to be had here.
"""

import os
import signal
import sys

import click

from face_engine import __version__
from face_engine.cli.common import EXIT_INPUT, fail, message
from face_engine.cli.evaluate import evaluate
from face_engine.cli.machine import benchmark, doctor
from face_engine.cli.photos import compare_photos, detect


def run() -> None:
    """Run the program: what it cannot write, to a full disk for instance, is an error like any other."""
    # dlib works for seconds without giving Python a chance to raise KeyboardInterrupt.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        try:
            main()
        finally:
            sys.stdout.flush()
    except OSError as error:
        # What is still in the buffer would fail again when Python ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        fail(f"cannot write the result: {message(error)}", EXIT_INPUT)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="face-engine")
def main() -> None:
    """Find, encode and compare faces with dlib's networks."""


for command in (detect, compare_photos, evaluate, benchmark, doctor):
    main.add_command(command)
