"""Which addresses an index and a lock may name: each row is run through the command line, and no request leaves this machine."""

import hashlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from deep_lock.cli.main import run
from tests.support.fake_network import FakeNetwork
from tests.support.scenario_server import ScenarioServer
from tests.support.scenarios import HERE, MINOR

INDEX = "http://index.example/simple/"
PUBLIC, PRIVATE, LOOPBACK, LINK_LOCAL = "8.8.8.8", "10.0.0.1", "127.0.0.1", "169.254.7.7"
NAMES: dict[str, str | tuple[str, ...]] = {
    "files.example": "8.8.4.4",
    "internal.example": "10.0.0.5",
    "rebinding.example": ("8.8.4.4", "10.0.0.5"),
    "cloud.example": "169.254.169.254",
    "six.example": "fd00::5",
}
FOREIGN_TO_PUBLIC = [
    "10.0.0.5",
    "192.168.1.1",
    "[fd00::1]",
    "[::ffff:10.0.0.5]",
    "[64:ff9b::a00:5]",
    "internal.example",
    "rebinding.example",
    "six.example",
    "localhost",
    "127.1",
    "0x7f000001",
    "0.0.0.0",  # noqa: S104 - as a page could name it
    "[::1]",
]
FOREIGN_TO_ALL = [
    "169.254.169.254",
    "2852039166",
    "0xa9fea9fe",
    "0251.0376.0251.0376",
    "[fe80::1]",
    "[::ffff:169.254.169.254]",
    "[64:ff9b::a9fe:a9fe]",
    "cloud.example",
    "metadata.google.internal",
    "100.100.100.200",
    "[fd00:ec2::254]",
]


FILE = {
    "filename": "lib-1.0-py3-none-any.whl",
    "url": "http://10.0.0.5/files/lib-1.0-py3-none-any.whl",
    "hashes": {"sha256": "0" * 64},
}


class NamedServer(ScenarioServer):
    """An index whose pages name their files on any host."""

    files: str = "http://index.example"

    @property
    def origin(self) -> str:
        return self.files


@dataclass
class Place:
    """A project, an index behind a name, and the network between them."""

    folder: Path
    server: NamedServer
    network: FakeNetwork
    capture: pytest.CaptureFixture[str]

    def run(self, *words: str) -> tuple[int, str]:
        self.capture.readouterr()
        self.network.connected.clear()
        code = run([*words])
        told = self.capture.readouterr()
        return code, told.out + told.err

    def lock(self, *flags: str, index: str = INDEX) -> tuple[int, str]:
        targets = ("--python-version", "3.12", "--platform", "x86_64-manylinux_2_28", "--hooks", "static")
        return self.run("lock", "--project", str(self.folder), "--default-index", index, *targets, *flags)

    def fetch(self, *flags: str) -> tuple[int, str]:
        destination = self.folder / "files"
        return self.run("fetch", "--lock", str(self.path), "--dest", str(destination), *flags)

    @property
    def path(self) -> Path:
        return self.folder / "deep.lock"

    def edit(self, old: str, new: str) -> None:
        text = self.path.read_text(encoding="utf-8")
        assert old in text
        self.path.write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture
def place(tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(tmp_path / "cache"))
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text('[project]\nname = "app"\nversion = "1"\ndependencies = ["lib"]\n')
    with NamedServer() as server:
        server.hold({"lib 1.0": {"requires": ["dep"]}, "dep 1.0": {}})
        network = FakeNetwork(monkeypatch, {"index.example": PUBLIC, **NAMES}, server._server.server_address[1])
        yield Place(folder=folder, server=server, network=network, capture=capfd)


def check_refused(place: Place, ended: tuple[int, str], address: str) -> None:
    code, stderr = ended
    assert code == 4, stderr
    assert set(place.network.connected) <= {address}
    assert "--allow-host" in stderr or "not a URL" in stderr


@pytest.mark.parametrize("host", [*FOREIGN_TO_PUBLIC, *FOREIGN_TO_ALL])
def test_a_public_index_names_public_addresses_only(place: Place, host: str) -> None:
    place.server.files = f"http://{host}"
    check_refused(place, place.lock(), PUBLIC)
    assert not place.path.exists()


@pytest.mark.parametrize("address", [PRIVATE, LOOPBACK, LINK_LOCAL])
@pytest.mark.parametrize("host", FOREIGN_TO_ALL)
def test_no_index_names_a_link_local_address(place: Place, host: str, address: str) -> None:
    place.network.names["index.example"] = address
    place.server.files = f"http://{host}"
    check_refused(place, place.lock(), address)


@pytest.mark.parametrize(
    ("address", "host", "connected"),
    [
        (PUBLIC, "files.example", "8.8.4.4"),
        (PUBLIC, "index.example:8080", PUBLIC),
        (PRIVATE, "index.example", PRIVATE),
        (PRIVATE, "10.0.0.5", "10.0.0.5"),
        (PRIVATE, "internal.example", "10.0.0.5"),
        (PRIVATE, "files.example", "8.8.4.4"),
        (LOOPBACK, "localhost", LOOPBACK),
        (LOOPBACK, "internal.example", "10.0.0.5"),
        (LINK_LOCAL, "index.example", LINK_LOCAL),
        (LINK_LOCAL, "files.example", "8.8.4.4"),
    ],
)
def test_an_own_index_names_its_scope_and_more_public_ones(
    place: Place, address: str, host: str, connected: str
) -> None:
    place.network.names |= {"index.example": address, "localhost": LOOPBACK}
    place.server.files = f"http://{host}"
    code, stderr = place.lock()
    assert code == 0, stderr
    assert connected in place.network.connected
    code, stderr = place.fetch("--default-index", INDEX)
    assert code == 0, stderr


@pytest.mark.parametrize(
    ("address", "host"), [(PRIVATE, "127.0.0.1"), (PRIVATE, "localhost"), (LINK_LOCAL, "10.0.0.5")]
)
def test_an_own_index_names_no_less_public_scope(place: Place, address: str, host: str) -> None:
    place.network.names |= {"index.example": address, "localhost": LOOPBACK}
    place.server.files = f"http://{host}"
    check_refused(place, place.lock(), address)


@pytest.mark.parametrize("host", ["10.0.0.5", "169.254.169.254", "cloud.example"])
def test_a_host_that_the_user_names_is_allowed(place: Place, host: str) -> None:
    place.server.files = f"http://{host}"
    code, stderr = place.lock("--allow-host", host)
    assert code == 0, stderr
    code, stderr = place.fetch("--allow-host", host)
    assert code == 0, stderr


@pytest.mark.parametrize("kind", ["base", "href", "find-links", "sdist", "no sidecar", "redirect", "page redirect"])
@pytest.mark.parametrize("host", ["169.254.169.254", "internal.example"])
def test_every_way_to_name_a_file(place: Place, kind: str, host: str) -> None:
    page = '<html><head>{head}</head><body><a href="{start}{name}-1.0-py3-none-any.whl">{name}-1.0-py3-none-any.whl</a></body></html>'
    flags: tuple[str, ...] = ()
    if kind in {"base", "href", "find-links"}:
        head = f'<base href="http://{host}/x/">' if kind == "base" else ""
        start = "" if kind == "base" else f"http://{host}/x/"
        body = page.format(head=head, start=start, name="lib").encode()
        path = "/links/" if kind == "find-links" else "/simple/lib/"
        place.server.bodies[path] = ("text/html", body)
        flags = ("--no-index", "--find-links", "http://index.example/links/") if kind == "find-links" else ()
    elif kind == "sdist":
        place.server.hold({"lib 1.0": {"wheels": [], "sdist": True, "build": ["dep"], "backend": "x"}, "dep 1.0": {}})
        place.server.files = f"http://{host}"
    elif kind == "no sidecar":
        place.server.sidecars = "none"
        place.server.files = f"http://{host}"
    else:
        where = "/simple/lib/" if kind == "page redirect" else "/files/"
        place.server.redirects[where] = f"http://{host}/x"
    if kind == "find-links":
        targets = ("--python-version", "3.12", "--platform", "x86_64-manylinux_2_28")
        check_refused(place, place.run("lock", "--project", str(place.folder), *targets, *flags), PUBLIC)
    else:
        check_refused(place, place.lock(*flags), PUBLIC)


def test_an_idle_connection_of_the_user_is_no_way_to_a_private_address(place: Place) -> None:
    """Both indexes are used; the public one names a file on the private one, to which a connection is open."""
    place.network.names |= {"private.example": PRIVATE}
    place.server.files = "http://private.example"
    check_paths = ("--index", "own=http://private.example/own/")
    place.server.statuses |= {"/own/lib/": 404, "/own/dep/": 404}
    code, stderr = place.lock(*check_paths)
    assert code == 4, stderr
    assert place.server.asked("/files/") == []


def test_a_lock_gets_no_link_local_address_from_a_cached_file(place: Place) -> None:
    """The page names a file whose metadata are in the cache: nothing would be requested."""
    assert place.lock()[0] == 0
    before = place.path.read_text(encoding="utf-8")
    place.server.files = "http://169.254.169.254"
    code, stderr = place.lock("--refresh")
    assert code == 4, stderr
    assert "--allow-host 169.254.169.254" in stderr
    assert place.path.read_text(encoding="utf-8") == before
    assert place.lock("--refresh", "--allow-host", "169.254.169.254")[0] == 0


def test_a_page_behind_a_redirect_names_by_the_server_that_has_it(place: Place) -> None:
    """A private index leads to a public server, whose page names a private address."""
    place.network.names |= {"index.example": PRIVATE, "public.example": "8.8.1.1"}
    place.server.redirects["/simple/lib/"] = "http://public.example/other/lib/"
    page = json.dumps({"meta": {"api-version": "1.0"}, "name": "lib", "files": [FILE]})
    place.server.bodies["/other/lib/"] = ("application/vnd.pypi.simple.v1+json", page.encode())
    code, stderr = place.lock()
    assert code == 4, stderr
    assert set(place.network.connected) == {PRIVATE, "8.8.1.1"}
    assert place.server.asked("/files/") == []


@pytest.mark.parametrize("host", ["169.254.169.254", "cloud.example", "2852039166"])
@pytest.mark.parametrize("scheme", ["git+http", "git+https", "git+ssh"])
def test_no_repository_on_a_link_local_address(place: Place, host: str, scheme: str) -> None:
    text = (place.folder / "pyproject.toml").read_text()
    (place.folder / "pyproject.toml").write_text(
        text.replace('["lib"]', json.dumps([f"dep @ {scheme}://{host}/dep.git"]))
    )
    code, stderr = place.lock()
    assert code == 4, stderr
    assert "link-local" in stderr


@pytest.mark.parametrize("host", ["internal.example", "10.0.0.5", "169.254.169.254", "files.example"])
def test_a_direct_reference_in_the_metadata_of_a_package_is_not_followed(place: Place, host: str) -> None:
    url = f"http://{host}/files/dep-1.0-py3-none-any.whl"
    place.server.hold({"lib 1.0": {"requires": [f"dep @ {url}"]}, "dep 1.0": {}})
    code, told = place.lock()
    assert code == 1, told
    assert set(place.network.connected) == {PUBLIC}


@pytest.mark.parametrize(("address", "code"), [(PUBLIC, 4), (PRIVATE, 0)])
def test_a_direct_reference_in_an_imported_lock(place: Place, address: str, code: int) -> None:
    place.network.names["index.example"] = address
    digest = hashlib.sha256(place.server.projects["dep"][0].content).hexdigest()
    lines = [f"dep @ http://internal.example/files/dep-1.0-py3-none-any.whl --hash=sha256:{digest}"]
    (place.folder / "requirements.txt").write_text("\n".join(lines))
    source = str(place.folder / "requirements.txt")
    targets = ("--python-version", "3.12", "--platform", "x86_64-manylinux_2_28", "--hooks", "static")
    ended, told = place.run("deepen", source, "--default-index", INDEX, *targets)
    assert ended == code, told
    assert ("10.0.0.5" in place.network.connected) is (code == 0)


def test_a_name_that_changes_its_address_is_looked_up_once(place: Place) -> None:
    place.server.files = "http://index.example:8080"
    seen: list[str] = []
    first = place.network._look_up

    def rebind(host: str, port: object, *rest: object, **more: object) -> list[object]:
        seen.append(host)
        place.network.names["index.example"] = PUBLIC if len(seen) == 1 else "10.0.0.5"
        return first(host, port, *rest, **more)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("socket.getaddrinfo", rebind)
        code, stderr = place.lock()
    assert code == 0, stderr
    assert set(place.network.connected) == {PUBLIC}
    assert [host for host in seen if host != LOOPBACK] == ["index.example"], "the tests' own sockets are on LOOPBACK"


# -- locks


@pytest.fixture
def locked(place: Place) -> Place:
    code, stderr = place.lock()
    assert code == 0, stderr
    place.server.log.clear()
    return place


def forget_files(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DEEP_LOCK_CACHE_DIR", str(place.folder.parent / "other-cache"))


HOSTS = ["169.254.169.254", "10.0.0.5", "127.0.0.1:1", "internal.example", "files.example", "evil.index.example"]


@pytest.mark.parametrize("every", ["one file", "all files"])
@pytest.mark.parametrize("host", HOSTS)
def test_fetch_requests_no_host_that_the_index_does_not_name(
    locked: Place, host: str, every: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_files(locked, monkeypatch)
    locked.network.names["evil.index.example"] = "8.8.1.1"
    start = "http://index.example/files/" + ("lib" if every == "one file" else "")
    locked.edit(f'"{start}', f'"{start.replace("index.example", host)}')
    code, stderr = locked.fetch()
    assert code == 4, stderr
    assert f"is on {host} by the lock" in stderr
    assert set(locked.network.connected) == {PUBLIC}
    code, told = locked.run("policy", "--lock", str(locked.path), "--deep")
    assert code == 4, told
    assert f"is on {host} by the lock" in told
    assert set(locked.network.connected) <= {PUBLIC}, "the page of the index is in the cache"
    code, told = locked.run("verify", "--lock", str(locked.path))
    assert code == 1, told
    assert "foreign-host" in told
    assert set(locked.network.connected) == {PUBLIC}


@pytest.mark.parametrize("host", ["169.254.169.254", "files.example"])
def test_a_wheelhouse_requests_no_such_host_either(place: Place, host: str, monkeypatch: pytest.MonkeyPatch) -> None:
    code, stderr = place.lock("--python-version", MINOR, "--platform", "host")
    assert code == 0, stderr
    forget_files(place, monkeypatch)
    place.edit('"http://index.example/files/', f'"http://{host}/files/')
    wheelhouse = ("wheelhouse", "--lock", str(place.path), "--dest", str(place.folder / "wheels"), "--target", HERE)
    code, stderr = place.run(*wheelhouse)
    assert code == 4, stderr
    assert f"is on {host} by the lock" in stderr
    assert set(place.network.connected) == {PUBLIC}


@pytest.mark.parametrize("host", ["evil.example", "files.example", "10.0.0.5"])
def test_a_package_from_an_index_that_the_lock_does_not_have(
    locked: Place, host: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The package names another index, and the files are on its host."""
    forget_files(locked, monkeypatch)
    locked.network.names["evil.example"] = "8.8.1.1"
    text = locked.path.read_text(encoding="utf-8")
    for own in ('index = "http://index.example/simple/"', '"http://index.example/files/'):
        assert own in text
        text = text.replace(own, own.replace("index.example", host))
    locked.path.write_text(text, encoding="utf-8")
    code, stderr = locked.fetch()
    assert code == 4, stderr
    assert f"is on {host} by the lock" in stderr
    assert "is not an index of the lock" in stderr
    assert locked.network.connected == []


@pytest.mark.parametrize("index", ["http://169.254.169.254/simple/", "http://cloud.example/simple/"])
def test_the_index_of_a_lock_is_no_link_local_address(
    locked: Place, index: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget_files(locked, monkeypatch)
    locked.edit("http://index.example/", index.removesuffix("simple/"))
    for command in (
        ["fetch", "--lock", str(locked.path), "--dest", str(locked.folder / "f")],
        ["verify", "--lock", str(locked.path)],
        ["outdated", "--lock", str(locked.path)],
    ):
        code, stderr = locked.run(*command)
        assert code == 4, (command, stderr)
        assert locked.network.connected == []


def test_files_on_another_host_than_the_index_need_no_configuration(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.server.files = "http://files.example"
    assert place.lock()[0] == 0
    forget_files(place, monkeypatch)
    place.server.log.clear()
    code, stderr = place.fetch()
    assert code == 0, stderr
    assert len(place.server.asked("/simple/")) == 1, "one page for one host"
    assert place.run("verify", "--lock", str(place.path))[0] == 0
    place.server.log.clear()
    assert place.fetch()[0] == 0
    assert place.server.asked() == [], "what is there is not requested, and its host needs no proof"


def test_a_policy_allows_a_host(locked: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    forget_files(locked, monkeypatch)
    locked.edit('"http://index.example/files/', '"http://files.example/files/')
    with (locked.folder / "pyproject.toml").open("a") as file:
        file.write('[tool.deep-lock.policy]\nhosts = ["index.example", "files.example"]\n')
    code, stderr = locked.fetch()
    assert code == 0, stderr
    code, stderr = locked.run("verify", "--lock", str(locked.path))
    assert code == 0, stderr


def test_the_archive_of_a_direct_reference(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = "http://{}/files/dep-1.0-py3-none-any.whl"
    text = (place.folder / "pyproject.toml").read_text()
    for host, expected in (("internal.example", 0), ("files.example", 0), ("169.254.169.254", 4), ("cloud.example", 4)):
        own = text.replace('["lib"]', json.dumps([f"dep @ {archive.format(host)}"]))
        (place.folder / "pyproject.toml").write_text(own)
        code, stderr = place.lock("-U")
        assert code == expected, (host, stderr)
        if code == 0:
            assert place.fetch()[0] == 0, "the project names it"
    forget_files(place, monkeypatch)
    place.edit(archive.format("files.example"), archive.format("internal.example"))
    lines = place.path.read_text().replace(
        f"dep @ {archive.format('internal.example')}", f"dep @ {archive.format('files.example')}"
    )
    place.path.write_text(lines)
    (place.folder / "files" / "dep-1.0-py3-none-any.whl").unlink()
    code, stderr = place.fetch()
    assert code == 4, stderr
    assert place.network.connected == []
    code, told = place.run("verify", "--lock", str(place.path))
    assert code == 1, told
    assert "foreign-host" in told
