"""Locks behind what stands in a company's network: proxies that require a login, and an own certificate authority."""

import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer
from tests.support.fault_world import TARGET, desk, people
from tests.support.proxy_servers import PASSWORD, ProxyServer, http_proxy, socks_proxy

CERTIFICATE = Path(__file__).parents[2] / "fixtures" / "tls" / "localhost.pem"
MAKERS: list[Callable[[], ProxyServer]] = [http_proxy, socks_proxy, lambda: socks_proxy("socks5h")]


@pytest.mark.parametrize("tls", [None, CERTIFICATE], ids=["http", "https"])
@pytest.mark.parametrize("make_proxy", MAKERS, ids=["http", "socks5", "socks5h"])
def test_a_lock_through_a_proxy_with_a_login(
    tmp_path: Path, make_proxy: Callable[[], ProxyServer], tls: Path | None
) -> None:
    own = desk(tmp_path)
    with FaultServer(tls=tls) as server, make_proxy() as proxy:
        environ = {"ALL_PROXY": proxy.url(), "SSL_CERT_FILE": str(CERTIFICATE)}
        ended = own.make_lock(people(server), environ=environ)
        assert ended.code == 0, ended.stderr
        assert {port for _, port in proxy.targets} == {server.port}
        assert proxy.refused == 0
    assert PASSWORD not in own.lock.read_text(encoding="utf-8")


def test_a_proxy_looks_up_names(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as server, socks_proxy() as proxy:
        url = people(server).replace("127.0.0.1", "index.example")
        ended = own.make_lock(url, environ={"ALL_PROXY": proxy.url()})
        assert ended.code == 0, ended.stderr
        assert set(proxy.targets) == {("index.example", server.port)}


@pytest.mark.parametrize("make_proxy", MAKERS, ids=["http", "socks5", "socks5h"])
def test_a_wrong_login_at_the_proxy(tmp_path: Path, make_proxy: Callable[[], ProxyServer]) -> None:
    own = desk(tmp_path)
    with FaultServer() as server, make_proxy() as proxy:
        ended = own.make_lock(people(server), environ={"ALL_PROXY": proxy.url(password="wr0ng")})  # noqa: S106 - made up
        assert ended.code == 3
        assert "proxy" in ended.stderr or "uthentication" in ended.stderr
        assert "wr0ng" not in ended.stderr
        assert server.requests == []
        assert proxy.refused > 0


def test_no_proxy(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as server, http_proxy() as proxy:
        ended = own.make_lock(people(server), environ={"ALL_PROXY": proxy.url(), "NO_PROXY": "127.0.0.0/8"})
        assert ended.code == 0, ended.stderr
        assert proxy.targets == []


def _own_mounts() -> list[str]:
    """Return the command that runs another one with mounts of its own; skips the test where it does not work."""
    command = ["unshare", "--map-root-user", "--mount"]
    if (
        shutil.which("unshare") is None
        or subprocess.run([*command, "true"], check=False, capture_output=True).returncode
    ):
        pytest.skip("no mount namespaces here")
    return command


def test_an_authority_that_only_the_system_knows(tmp_path: Path) -> None:
    """As behind a proxy that decrypts TLS: its authority is in the store of the system, and nowhere else."""
    unshare = _own_mounts()
    store = ssl.get_default_verify_paths().openssl_cafile
    stores = [path for path in (store, "/etc/ssl/certs/ca-certificates.crt") if Path(path).is_file()]
    if not stores:
        pytest.skip("no store of the system here")
    own = desk(tmp_path)
    with FaultServer(tls=CERTIFICATE) as server, http_proxy() as proxy:
        environ = own.environ({"HTTPS_PROXY": proxy.url()})
        lock = [sys.executable, "-m", "deep_lock", "lock", "--default-index", people(server), *TARGET]
        mount = " && ".join(f"mount --bind {CERTIFICATE} {Path(path).resolve()}" for path in stores)
        for command, code in ((lock, 3), ([*unshare, "sh", "-c", f'{mount} && exec "$@"', "sh", *lock], 0)):
            ended = subprocess.run(command, cwd=own.project, env=environ, capture_output=True, text=True, check=False)
            assert ended.returncode == code, ended.stderr
        assert proxy.targets
