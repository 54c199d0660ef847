"""The addresses of schedulers that are used."""

import pytest

from deep_lock.errors import UsageError
from deep_lock.fleet.engine import EngineOptions, check_address


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:8786", "tcp://[::1]:8786"])
def test_loopback_needs_no_certificate(address: str) -> None:
    check_address(EngineOptions(scheduler=address))


def test_tls_needs_the_certificates_of_both_sides() -> None:
    check_address(EngineOptions(scheduler="tls://a.example:1", tls_ca="a", tls_cert="b", tls_key="c"))
    with pytest.raises(UsageError, match="needs the certificate of its authority, and one of this client"):
        check_address(EngineOptions(scheduler="tls://a.example:1", tls_ca="a", tls_cert="b"))


@pytest.mark.parametrize("address", ["tcp://192.0.2.1:8786", "tcp://localhost:8786", "tcp://0.0.0.0:1"])
def test_a_plain_port_of_another_host_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="without TLS runs code there"):
        check_address(EngineOptions(scheduler=address, tls_ca="a", tls_cert="b", tls_key="c"))


@pytest.mark.parametrize(
    "address",
    ["127.0.0.1:8786", "ucx://a:1", "tls://a", "inproc://a/1", "tcp://[::1", "tcp://a:b", "tcp://127.0.0.1:0"],
)
def test_other_addresses_are_refused(address: str) -> None:
    with pytest.raises(UsageError, match="must be tls://HOST:PORT"):
        check_address(EngineOptions(scheduler=address))


@pytest.mark.parametrize(
    "address", ["tcp://a@127.0.0.1:1", "tcp://\t127.0.0.1:1", "tcp://127.0.0.1:1/a", "tcp://127.0.0.1:1?a"]
)
def test_an_address_that_dask_reads_as_another_host_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="must be tls://HOST:PORT"):
        check_address(EngineOptions(scheduler=address))
