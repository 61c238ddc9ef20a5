"""What tests of kernels need: problems by name, exact data, poisoned results, tolerances.

`python -m fastconv.testing DESCRIPTOR` checks a problem in every layout against the reference.
"""

from fastconv.testing.check import arrays_of, check, expected_results, passes, repeat_line, run
from fastconv.testing.compare import (
    WINOGRAD_EPS,
    assert_exact,
    assert_matches,
    assert_mostly_nonzero,
    relative_l2,
    tolerance,
)
from fastconv.testing.data import LAYOUTS, Poisoned, exact_integers, lay_out, normal
from fastconv.testing.descriptors import (
    DESCRIPTOR_SETS,
    describe,
    descriptor_set,
    parse_descriptor,
    with_batch,
)

__all__ = [
    "DESCRIPTOR_SETS",
    "LAYOUTS",
    "WINOGRAD_EPS",
    "Poisoned",
    "arrays_of",
    "assert_exact",
    "assert_matches",
    "assert_mostly_nonzero",
    "check",
    "describe",
    "descriptor_set",
    "exact_integers",
    "expected_results",
    "lay_out",
    "normal",
    "parse_descriptor",
    "passes",
    "relative_l2",
    "repeat_line",
    "run",
    "tolerance",
    "with_batch",
]
