"""Locks in company networks: proxies that require a login, an own certificate authority, client certificates, a keyring, signed links."""

import base64
import os
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.fault_server import FaultServer
from tests.support.fault_world import PROJECT, SOURCE, TARGET, Desk, desk, people
from tests.support.proxy_servers import PASSWORD, ProxyServer, http_proxy, socks_proxy
from tests.support.scenario_server import Releases
from tests.support.scenarios import bench

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


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("proxy_scheme", ["http", "socks5"])
@pytest.mark.parametrize("variable", ["ALL_PROXY", "{}_proxy"])
def test_a_dead_proxy_is_named_and_not_the_index(tmp_path: Path, scheme: str, proxy_scheme: str, variable: str) -> None:
    own, name = desk(tmp_path), variable.format(scheme)
    proxy = f"{proxy_scheme}://user:pr0xy@127.0.0.1:9"
    ended = own.make_lock(f"{scheme}://index.example/simple/", environ={name: proxy})
    assert ended.code == 3
    assert f"no connection to the proxy {proxy_scheme}://127.0.0.1:9 ({name}): " in ended.stderr
    assert "pr0xy" not in ended.stderr


def test_a_dead_index_behind_no_proxy_is_not_told_as_a_proxy(tmp_path: Path) -> None:
    environ = {"ALL_PROXY": "http://127.0.0.1:9", "NO_PROXY": "127.0.0.1"}
    ended = desk(tmp_path).make_lock("http://127.0.0.1:9/simple/", environ=environ)
    assert ended.code == 3
    assert "no connection" in ended.stderr
    assert "proxy" not in ended.stderr


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


@pytest.fixture
def client_cert(tmp_path: Path) -> Path:
    """The test certificate and its key in one file: it is its own authority."""
    path = tmp_path / "client.pem"
    path.write_bytes(CERTIFICATE.read_bytes() + CERTIFICATE.with_suffix(".key").read_bytes())
    return path


TRUSTED = {"SSL_CERT_FILE": str(CERTIFICATE)}


def test_a_client_certificate(tmp_path: Path, client_cert: Path) -> None:
    own = desk(tmp_path)
    with FaultServer(tls=CERTIFICATE, client_ca=CERTIFICATE) as server:
        refused = own.make_lock(people(server), environ=TRUSTED)
        assert refused.code == 3
        assert not own.lock.exists()
        ended = own.make_lock(people(server), "--client-cert", str(client_cert), environ=TRUSTED)
        assert ended.code == 0, ended.stderr
    assert str(client_cert) not in own.lock.read_text(encoding="utf-8")


def _configure(own: Desk, url: str, client_cert: str) -> None:
    index = f'[[tool.deep-lock.index]]\nname = "corp"\nurl = "{url}"\ndefault = true\nclient-cert = "{client_cert}"\n'
    (own.project / "pyproject.toml").write_text(PROJECT + index, encoding="utf-8")


def test_a_client_certificate_for_one_index(tmp_path: Path, client_cert: Path) -> None:
    own = desk(tmp_path)
    (own.project / "client.pem").write_bytes(client_cert.read_bytes())
    with FaultServer(tls=CERTIFICATE, client_ca=CERTIFICATE) as server:
        _configure(own, people(server), "client.pem")
        ended = own.run("lock", *TARGET, environ=TRUSTED)
        assert ended.code == 0, ended.stderr
        # the same origin by another name is not the index that the certificate belongs to
        other = people(server).replace("127.0.0.1", "localhost")
        own.lock.unlink()
        ended = own.run("lock", *TARGET, "--refresh", "--default-index", other, environ=TRUSTED)
        assert ended.code == 3


def test_a_client_certificate_that_cannot_be_read(tmp_path: Path) -> None:
    own = desk(tmp_path)
    (own.project / "bad.pem").write_text("no certificate", encoding="ascii")
    with FaultServer(tls=CERTIFICATE, client_ca=CERTIFICATE) as server:
        ended = own.make_lock(people(server), "--client-cert", "bad.pem", environ=TRUSTED)
    assert ended.code == 2
    assert "no client certificate can be read" in ended.stderr


BACKEND = """
from keyring.backend import KeyringBackend
from keyring.credentials import SimpleCredential

class Keyring(KeyringBackend):
    priority = 1
    def get_password(self, service, username):
        return None
    def set_password(self, service, username, password):
        raise NotImplementedError
    def get_credential(self, service, username):
        return SimpleCredential("any", "found") if service.endswith("/simple/") else None
"""


def _keyring(tmp_path: Path, backend: str) -> dict[str, str]:
    """Return variables with which the real keyring uses a backend, and files below tmp_path."""
    folder = tmp_path / "keyring"
    folder.mkdir()
    (folder / "found_backend.py").write_text(BACKEND, encoding="utf-8")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    python = {"PYTHONPATH": f"{SOURCE}{os.pathsep}{folder}", "PYTHON_KEYRING_BACKEND": backend}
    return {"PATH": path, "XDG_DATA_HOME": str(folder), "XDG_CONFIG_HOME": str(folder), **python}


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


@pytest.mark.parametrize("by_host", [False, True])
def test_a_password_from_a_keyring(tmp_path: Path, *, by_host: bool) -> None:
    own = desk(tmp_path)
    environ = _keyring(tmp_path, "keyrings.alt.file.PlaintextKeyring")
    with FaultServer() as server:
        url = people(server)
        service = url.split("/")[2] if by_host else url
        subprocess.run(
            ["keyring", "set", service, "me"],
            input="fr0m-keyring",
            env=own.environ(environ),
            text=True,
            check=True,
            capture_output=True,
        )
        with_user = url.replace("://", "://me@")
        off = own.make_lock(with_user, environ=environ)
        assert off.code == 0, off.stderr
        assert {one.headers["authorization"] for one in server.requests} == {_basic("me", "")}
        server.requests.clear()
        on = own.make_lock(with_user, "--refresh", "--keyring-provider", "subprocess", environ=environ)
        assert on.code == 0, on.stderr
        assert {one.headers["authorization"] for one in server.requests} == {_basic("me", "fr0m-keyring")}
        assert "fr0m-keyring" not in on.stderr + own.lock.read_text(encoding="utf-8")


def test_a_user_name_from_a_keyring(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        environ = _keyring(tmp_path, "found_backend.Keyring")
        ended = own.make_lock(people(server), "--keyring-provider", "subprocess", environ=environ)
        assert ended.code == 0, ended.stderr
        assert {one.headers["authorization"] for one in server.requests} == {_basic("any", "found")}


def test_a_keyring_that_does_not_know_the_index(tmp_path: Path) -> None:
    own = desk(tmp_path)
    environ = _keyring(tmp_path, "keyrings.alt.file.PlaintextKeyring")
    with FaultServer() as server:
        ended = own.make_lock(people(server), "--keyring-provider", "subprocess", environ=environ)
        assert ended.code == 0, ended.stderr
        assert all("authorization" not in one.headers for one in server.requests)


def test_no_keyring(tmp_path: Path) -> None:
    own = desk(tmp_path)
    with FaultServer() as server:
        ended = own.make_lock(people(server), "--keyring-provider", "subprocess", environ={"PATH": str(tmp_path)})
        assert ended.code == 2
        assert "there is no program keyring on PATH" in ended.stderr
        assert server.requests == []
        server.surprises.clear()


@pytest.mark.parametrize("signature", ["needed", "other"])
def test_a_host_that_needs_signatures_is_asked_for_one_file_without(
    signature: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    releases: Releases = {"one 1.0": {}, "two 1.0": {}, "three 1.0": {}}
    with bench(tmp_path, capsys, monkeypatch, releases, settings={"signature": signature}) as made:
        made.ask("one", "two", "three")
        ran = made.lock()
        assert ran.code == 0, ran.stderr
        unsigned = [path for path in ran.asked if "/files/" in path and "?" not in path and ".metadata" not in path]
        assert len(set(unsigned)) == 1
        assert ran.text.count("X-Amz-Signature") == 3
