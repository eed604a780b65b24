"""What holds for every test."""

from __future__ import annotations

import gc
from collections.abc import Generator, Iterator
from pathlib import Path

import certifi
import pytest

END = "-----END CERTIFICATE-----"


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What is imported stays: the garbage collector need not go through it again and again, all threads waiting."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.enable()
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session", autouse=True)
def one_certificate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """All servers are on loopback and speak plain HTTP. Yet each SDK client that is made reads every certificate which
    the machine trusts, and that was most of the time of tests which make clients; so let there be only one.
    """
    first = Path(certifi.where()).read_text(encoding="utf-8").partition(END)[0]
    path = tmp_path_factory.mktemp("trusted") / "one.pem"
    path.write_text(f"{first}{END}\n", encoding="utf-8")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SSL_CERT_FILE", str(path))
        patch.delenv("SSL_CERT_DIR", raising=False)
        yield
