"""Backends that the kernel tests run over, and how hypothesis draws its problems."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import HealthCheck, settings

# Before NumPy loads: the reference's BLAS would spin on the cores that the kernels' threads need.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

from emulator import cupy_stand_in
from emulator.backend import DeviceOps, EmulatedOps, kernels_held, kernels_launched

import fastconv
from fastconv import _core, ops, reference
from fastconv.devices import require_cuda

COMMON = {"deadline": None, "suppress_health_check": list(HealthCheck), "print_blob": True}
settings.register_profile("local", max_examples=60, **COMMON)
settings.register_profile("ci", max_examples=60, derandomize=True, **COMMON)
settings.load_profile("ci" if os.environ.get("CI") else "local")


class Backend(NamedTuple):
    name: str
    ops: Any


REFERENCE, CPU = Backend("reference", reference), Backend(f"cpu:{_core.config()['isa']}", ops)
EMULATED = Backend("emulated", EmulatedOps())


def on_a_device() -> tuple[Backend, ...]:
    """The CUDA kernels where a device and CuPy are."""
    try:
        return (Backend("cuda", DeviceOps(require_cuda())),)
    except RuntimeError:
        return ()


CUDA = (EMULATED, *on_a_device())

# The tests that run on the CUDA backends too: those whose operations it has.
ON_CUDA: tuple[str, ...] = (
    "test_activation::test_limits",
    "test_activation::test_any_shape",
    "test_activation::test_any_layout",
    "test_activation::test_gradient_and_output_may_lie_differently",
    "test_activation::test_relu_backward",
    "test_activation::test_relu_of_integers_is_exact",
    "test_curve::test_any_shape",
    "test_curve::test_any_layout",
    "test_curve::test_gradients_by_finite_differences",
    "test_curve::test_limits",
    "test_curve::test_softplus_does_not_overflow_under_any_threshold",
    "test_average_pool::test_exact_values",
    "test_average_pool::test_any_divisor",
    "test_average_pool::test_adaptive",
    "test_average_pool::test_random_problems",
    "test_average_pool::test_results_lie_as_the_input",
    "test_average_pool::test_nan_and_infinity_stay_in_their_windows",
    "test_average_pool::test_gradient_by_finite_differences",
    "test_pool::test_corners_in_every_layout",
    "test_pool::test_random_problems",
    "test_pool::test_first_maximum_wins",
    "test_pool::test_negative_infinity_wins_nothing_from_the_padding",
    "test_pool::test_last_nan_wins",
    "test_pool::test_results_lie_as_the_input",
    "test_pool::test_without_indices",
    "test_pool::test_backward_takes_gradient_and_indices_that_lie_differently",
    "test_pool::test_gradient_by_finite_differences",
    "test_pool_nd::test_one_dimension",
    "test_pool_nd::test_three_dimensions",
    "test_pool_nd::test_windows_that_cover_the_input",
    "test_pool_nd::test_even_windows_that_cover_the_input",
    "test_loss::test_loss_and_gradient",
    "test_loss::test_any_layout",
    "test_loss::test_softmax_minus_one_hot",
    "test_loss::test_logits_far_apart",
    "test_loss::test_nan_stays_visible",
    "test_loss::test_empty_batch",
    "test_loss::test_gradient_by_finite_differences",
    "test_conv::test_corners_in_every_layout",
    "test_conv::test_random_problems",
    "test_conv::test_fused_bias_and_activation",
    "test_conv::test_gradients_by_finite_differences",
    "test_conv::test_two_dimensional_example",
    "test_conv::test_output_sizes",
    "test_conv::test_weight_gradient_without_bias",
    "test_conv::test_empty_batch_has_zero_weight_gradient",
    "test_conv::test_nan_and_infinity_stay_in_their_windows",
    "test_conv_nd::test_corners_in_every_layout",
    "test_conv_nd::test_fused_bias_and_activation",
    "test_conv_nd::test_functions_of_arrays",
    "test_conv_transpose::test_exact",
    "test_conv_transpose::test_fused_bias_and_activation",
    "test_linear::test_corners_in_every_layout",
    "test_linear::test_random_problems",
    "test_linear::test_no_outputs_have_a_zero_gradient",
    "test_linear::test_leading_dimensions",
    "test_batch_norm::test_exact_where_every_number_is_a_power_of_two",
    "test_group_norm::test_exact_where_every_number_is_a_power_of_two",
    "test_local_response_norm::test_exact_where_every_number_is_a_power_of_two",
    "test_conv_pool::test_exact_values",
    "test_conv_pool_backward::test_exact_gradients",
    "test_dropout::test_equals_the_definition",
    "test_dropout::test_layouts",
    "test_update::test_sgd",
    "test_update::test_adam",
    "test_update::test_the_other_rules",
    "test_update::test_total_norm",
    "test_update::test_writes_into_any_layout",
)


launched_elsewhere: set[str] = set()  # by other processes of this run


def pytest_addoption(parser: pytest.Parser) -> None:
    text = "fail where a CUDA kernel has not run on the emulator"
    parser.addoption("--every-kernel", action="store_true", help=text)


def pytest_configure() -> None:
    """A run in the background ignores Ctrl-C; what the tests start, and stop by it, must not."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Folders of tests are run by a process for each core, up to four, where pytest-xdist is there
    and -n does not say otherwise; files by this process, as others take seconds to start."""
    option, cores = config.option, fastconv.get_num_threads()
    if getattr(option, "numprocesses", 0) is not None or hasattr(config, "workerinput"):
        return
    if cores > 1 and not option.usepdb and all(os.path.isdir(path) for path in config.args):
        option.numprocesses, option.dist = min(cores, 4), "worksteal"


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    launched_elsewhere.update(getattr(node, "workeroutput", {}).get("kernels_launched", ()))


def pytest_sessionfinish(session: pytest.Session) -> None:
    if not session.config.getoption("every_kernel"):
        return
    launched = kernels_launched() | launched_elsewhere
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["kernels_launched"] = sorted(launched)
        return
    missing = sorted(kernels_held() - launched)
    if missing:
        print("\nkernels that no test has run:", *missing, sep="\n  ")
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def wanted(item: pytest.Item) -> bool:
        call = getattr(item, "callspec", None)
        name = f"{item.path.stem}::{item.name.partition('[')[0]}"
        return call is None or call.params.get("backend") not in CUDA or name in ON_CUDA

    items[:] = [item for item in items if wanted(item)]


@pytest.fixture(params=(REFERENCE, CPU, *CUDA), ids=lambda backend: backend.name, scope="session")
def backend(request: pytest.FixtureRequest) -> Backend:
    """The reference, the kernels of the instruction set that this process chose, and CUDA's
    kernels on the emulator and on the device that is there.

    test_instruction_sets.py runs the tests that use this fixture, or `cpu`, again for every
    other set.
    """
    return request.param


@pytest.fixture(params=(CPU,), ids=lambda backend: backend.name, scope="session")
def cpu(request: pytest.FixtureRequest) -> Backend:
    """The kernels alone, where the reference gives the expected values or would be too slow."""
    return request.param


@pytest.fixture(autouse=True)
def poisoned_memory() -> Iterator[None]:
    """Every block of the memory pool is handed out full of NaN: a cell left unwritten shows."""
    _core.memory_set_poison(True)
    yield
    _core.memory_set_poison(False)


@pytest.fixture(autouse=True)
def no_cuda_between_tests() -> Iterator[None]:
    """What a test registered for CUDA arrays ends with it."""
    yield
    _core.register_cuda_backend(None)


@pytest.fixture
def cuda_by_cpu(monkeypatch: pytest.MonkeyPatch) -> None:
    """CUDA arrays without a device: the stand-in is CuPy, the CPU's kernels compute."""
    monkeypatch.setitem(sys.modules, "cupy", cupy_stand_in)
    _core.register_cuda_backend(_core.cpu_backend())
    cupy_stand_in.calls.clear()


@pytest.fixture
def restore_threads() -> Iterator[None]:
    count = fastconv.get_num_threads()
    yield
    fastconv.set_num_threads(count)
