"""What compares this package with others and with itself; not part of the wheel.

``python -m benchmarks`` lists all benchmarks, ``python -m benchmarks NAME ...`` runs one, from the root of the
repository: each file beside this one is a benchmark, ``harness/`` is what they share. A few also use what tests use
(``tests/shared``: mutations of files, a program that runs a network alone, a browser), which they find when run so.
"""
