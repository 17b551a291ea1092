"""The runtime under AddressSanitizer and UndefinedBehaviorSanitizer, loaded into Python."""

import os
import subprocess
import sys

from spquant_snn.build import compiler

FLAGS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer")
ADDRESS = ("-O2", "-g1", "-fsanitize=address", "-fno-omit-frame-pointer")  # for bodies that take minutes with the above


def environment():
    """The environment of a Python that can load what is built with ``FLAGS``, or None where that cannot be."""
    command = [compiler(), "-print-file-name=libasan.so"]
    runtime = subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    if not os.path.isabs(runtime) or sys.platform != "linux":
        return None
    return {
        **os.environ,
        "LD_PRELOAD": os.path.realpath(runtime),
        "ASAN_OPTIONS": "detect_leaks=0",  # Python keeps what it has to its end
        "UBSAN_OPTIONS": "print_stacktrace=1",
        "OPENBLAS_NUM_THREADS": "1",
    }
