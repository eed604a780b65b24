"""For scenarios on real sockets, in which attempts are cancelled at any moment."""

from __future__ import annotations

import gc
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent

# anyio drops a connection that was made in the very moment in which its connecting was cancelled, and leaves it to the
# garbage collector. Whether we leak any is counted at the server's end: test_soak, test_leaving.
UNCLOSED = "ignore:unclosed:ResourceWarning"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.filterwarnings(UNCLOSED))


@pytest.fixture(autouse=True, scope="module")
def nothing_is_left_for_other_modules() -> Iterator[None]:
    """Nor is anything of theirs looked at: a full collection of what thousands of tests keep takes a second, in which
    all threads stand still.
    """
    gc.collect()
    gc.freeze()
    yield
    gc.unfreeze()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
