"""Project pages, JSON and HTML, through the front door: bytes in, Listing or a typed error out."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import Version

from deep_lock.errors import DeepLockError, IndexInvalid, NameMismatch
from deep_lock.index.listing import Listing
from deep_lock.index.simple import parse_page
from deep_lock.models.distribution import Distribution, SourceDistribution, Wheel

PAGES = Path(__file__).parents[3] / "fixtures" / "pages"
JSON = "application/vnd.pypi.simple.v1+json"
HTML = "text/html; charset=utf-8"
INDEX = "https://index.example/simple/"
SHA = "2d711642b726b04401627ca9fbac32f5c8530fb1903cc4db02258717921a4881"
FOO = canonicalize_name("foo")


def read(body: bytes | str, kind: str = JSON, name: NormalizedName = FOO, url: str = "") -> Listing:
    raw = body.encode("utf-8", errors="surrogatepass") if isinstance(body, str) else body
    return parse_page(raw, kind, url or f"{INDEX}{name}/", name, INDEX)


def entry(filename: str = "foo-1.0-py3-none-any.whl", **more: Any) -> dict[str, Any]:
    return {"filename": filename, "url": f"https://files.example/a/{filename}", "hashes": {"sha256": SHA}, **more}


def page(*files: object, **more: Any) -> str:
    return json.dumps({"meta": {"api-version": "1.1"}, "name": "foo", "files": files, **more})


def all_files(listing: Listing) -> list[Distribution]:
    return [file for version in listing.versions for file in listing.files(version)]


def only(listing: Listing) -> Distribution:
    (file,) = all_files(listing)
    return file


def codes(listing: Listing) -> list[str]:
    return [note.code for note in listing.notes]


# -- real pages


def test_a_recorded_page() -> None:
    listing = read((PAGES / "pyyaml.json").read_bytes(), name=canonicalize_name("pyyaml"))
    assert [str(version) for version in listing.versions] == ["6.0.2", "6.0.1", "5.4.1", "3.10"]
    assert [file.filename for file in listing.files(Version("3.10"))] == ["PyYAML-3.10.tar.gz", "PyYAML-3.10.zip"]
    wheel, sdist = listing.files(Version("6.0.2"))
    assert isinstance(wheel, Wheel)
    assert (wheel.tags, wheel.build, wheel.name, wheel.index) == ("cp313-cp313-win_amd64", "", "pyyaml", INDEX)
    assert wheel.url.startswith("https://files.example/packages/")
    assert wheel.metadata is not None
    assert len(wheel.metadata) == 64
    assert isinstance(sdist, SourceDistribution)
    assert sdist.filename == "pyyaml-6.0.2.tar.gz"
    assert sdist.size == 130631
    assert sdist.upload_time is not None
    assert sdist.upload_time.tzinfo is UTC
    assert listing.notes == ()


def test_html_and_json_say_the_same() -> None:
    name = canonicalize_name("ruamel.yaml")
    from_json = all_files(read((PAGES / "ruamel-yaml.json").read_bytes(), name=name))
    from_html = all_files(read((PAGES / "ruamel-yaml.html").read_bytes(), HTML, name))
    assert from_html == [structs.replace(file, size=None, upload_time=None) for file in from_json]
    assert {file.yanked for file in from_html} == {None, "would still install for Python 2"}
    assert [file.filename for file in from_html][-1] == "ruamel.yaml-0.1.tar.gz"


def test_a_login_page_is_not_an_empty_project() -> None:
    with pytest.raises(IndexInvalid, match="without a link"):
        read((PAGES / "login.html").read_bytes(), HTML)


# -- JSON


def test_every_field_is_taken() -> None:
    file = only(
        read(
            page(
                entry(
                    "foo-1.0-2b-cp311-abi3-any.whl",
                    **{
                        "requires-python": ">=3.8",
                        "size": 5,
                        "upload-time": "2024-05-06T07:08:09.123456Z",
                        "yanked": "broken",
                        "core-metadata": {"sha256": SHA},
                        "provenance": None,
                        "gpg-sig": True,
                    },
                )
            )
        )
    )
    assert file == Wheel(
        filename="foo-1.0-2b-cp311-abi3-any.whl",
        name=FOO,
        version=Version("1.0"),
        build="2b",
        tags="cp311-abi3-any",
        url="https://files.example/a/foo-1.0-2b-cp311-abi3-any.whl",
        sha256=SHA,
        size=5,
        upload_time=datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC),
        requires_python=">=3.8",
        yanked="broken",
        index=INDEX,
        metadata=SHA,
    )


@pytest.mark.parametrize(
    ("served", "meaning"),
    [({}, None), ({"yanked": None}, None), ({"yanked": False}, None), ({"yanked": True}, ""), ({"yanked": ""}, ""),
     ({"yanked": "why"}, "why")],
)  # fmt: skip
def test_yanked(served: dict[str, Any], meaning: str | None) -> None:
    assert only(read(page(entry(**served)))).yanked == meaning


@pytest.mark.parametrize(
    ("served", "meaning"),
    [
        ({}, None),
        ({"core-metadata": False}, None),
        ({"core-metadata": True}, ""),
        ({"core-metadata": {}}, ""),
        ({"core-metadata": {"sha512": "00"}}, ""),
        ({"core-metadata": {"sha256": SHA}}, SHA),
        ({"dist-info-metadata": {"sha256": SHA}}, SHA),
        ({"core-metadata": False, "dist-info-metadata": {"sha256": SHA}}, None),
        ({"core-metadata": True, "dist-info-metadata": {"sha256": SHA}}, ""),
    ],
)
def test_offer_of_metadata(served: dict[str, Any], meaning: str | None) -> None:
    file = only(read(page(entry(**served))))
    assert isinstance(file, Wheel)
    assert file.metadata == meaning


BAD_ENTRIES = [
    ({"hashes": {"sha256": "abc"}}, "HashInvalid"),
    ({"hashes": {"sha256": " " + SHA[1:]}}, "HashInvalid"),
    ({"hashes": {"sha256": SHA[:-1] + "\n"}}, "HashInvalid"),
    ({"hashes": {"sha256": 7}}, "HashInvalid"),
    ({"hashes": "sha256"}, "HashInvalid"),
    ({"url": "file:///etc/hostname"}, "UrlForbidden"),
    ({"url": "javascript:alert(1)"}, "UrlForbidden"),
    ({"url": "data:,x"}, "UrlForbidden"),
    ({"url": "ftp://files.example/x.whl"}, "UrlForbidden"),
    ({"url": "http://files.example/x.whl"}, "UrlForbidden"),
    ({"url": "https://user:pw@files.example/x.whl"}, "UrlForbidden"),
    ({"url": "https://files.example\\@evil.example/x.whl"}, "UrlForbidden"),
    ({"url": "https://files.example/a b.whl"}, "UrlForbidden"),
    ({"url": "https://files.example/a\tb.whl"}, "UrlForbidden"),
    ({"url": "https://[::1/x.whl"}, "UrlForbidden"),
    ({"url": "https://files.example:99999999/x.whl"}, "UrlForbidden"),
    ({"url": "https://f\u0456les.example/x.whl"}, "UrlForbidden"),
    ({"url": None}, "UrlForbidden"),
    ({"url": None, "size": "12"}, "UrlForbidden"),
    ({"size": -1}, "SizeInvalid"),
    ({"size": 10**30}, "SizeInvalid"),
    ({"size": "12"}, "SizeInvalid"),
    ({"size": 12.5}, "SizeInvalid"),
    ({"size": []}, "SizeInvalid"),
    ({"filename": "../../foo-1.0.tar.gz"}, "FilenameInvalid"),
    ({"filename": "bar-1.0-py3-none-any.whl"}, "FilenameInvalid"),
    ({"filename": "foo-1.0.linux-x86_64.tar.gz"}, "VersionInvalid"),
    ({"filename": None}, "EntryInvalid"),
]


@pytest.mark.parametrize(("served", "code"), BAD_ENTRIES, ids=lambda value: str(value)[:50])
def test_one_bad_entry_is_left_out_and_the_rest_is_kept(served: dict[str, Any], code: str) -> None:
    good = entry("foo-2.0.tar.gz")
    listing = read(page(entry() | served, good))
    assert [file.filename for file in all_files(listing)] == ["foo-2.0.tar.gz"]
    assert codes(listing) == [code]
    assert listing.notes[0].subject == "foo"
    assert listing.notes[0].message.isprintable()


ODD_FIELDS: list[dict[str, Any]] = [
    {"core-metadata": {"sha256": "abc"}},
    {"core-metadata": {"sha256": 7}},
    {"core-metadata": "yes"},
    {"core-metadata": 1},
    {"dist-info-metadata": []},
    {"upload-time": "2024-01-01T00:00:00"},
    {"upload-time": "yesterday"},
    {"upload-time": ""},
    {"upload-time": 1700000000},
    {"yanked": 3},
    {"yanked": {"reason": "x"}},
    {"requires-python": 3},
    {"requires-python": [">=3"], "upload-time": 1, "yanked": []},
]


@pytest.mark.parametrize("odd", ODD_FIELDS, ids=str)
def test_a_field_that_nobody_needs_counts_as_unknown(odd: dict[str, Any]) -> None:
    fine: dict[str, Any] = {
        "size": 5,
        "upload-time": "2024-05-06T07:08:09Z",
        "yanked": "broken",
        "requires-python": ">=3",
    }
    left = {key: value for key, value in fine.items() if key not in odd}
    listing = read(page(entry(**(fine | odd))))
    assert only(listing) == only(read(page(entry(**left))))
    assert set(codes(listing)) == {"FieldIgnored"}
    assert len(listing.notes) == len(odd)
    assert "foo-1.0-py3-none-any.whl" in listing.notes[0].message


def test_a_page_may_have_null_for_what_it_does_not_state() -> None:
    assert only(read(page(entry(), meta=None))).filename == "foo-1.0-py3-none-any.whl"


def test_a_digest_may_have_capitals() -> None:
    assert only(read(page(entry(hashes={"sha256": SHA.upper()}), entry()))).sha256 == SHA


@pytest.mark.parametrize("more", [{"hashes": None}, {"hashes": []}, {}])
def test_hashes_may_be_missing(more: dict[str, Any]) -> None:
    bare = {key: value for key, value in entry().items() if key != "hashes"} | more
    assert only(read(page(bare))).sha256 is None


def test_a_status_that_cannot_be_read_is_none() -> None:
    odd: Any
    for odd in ("archived", {"status": 7}, [], {"status": "archived", "reason": 1}):
        listing = read(page(entry(), **{"project-status": odd, "meta": {"api-version": "1.4", "project-status": odd}}))
        assert only(listing).version == Version("1.0")
        assert listing.status is None


@pytest.mark.parametrize("offer", ["sha256=abc", "sha256=", "yes"])
def test_odd_metadata_of_an_html_page_leave_the_file(offer: str) -> None:
    anchor = f'<a href="foo-1.0-py3-none-any.whl#sha256={SHA}" data-dist-info-metadata="{offer}">x</a>'
    file = only(read(anchor, HTML))
    assert isinstance(file, Wheel)
    assert file.metadata == ("" if offer == "yes" else None)


@pytest.mark.parametrize("bad", [None, 7, "x", [], {}, {"filename": "foo-1.0.zip"}])
def test_what_is_no_entry_is_left_out(bad: object) -> None:
    listing = read(page(bad, entry()))
    assert len(all_files(listing)) == 1
    assert codes(listing) == ["EntryInvalid"]


def test_notes_count_the_files() -> None:
    listing = read(page(*(entry(f"bar-{n}.0.tar.gz") for n in range(3))))
    assert [note.message for note in listing.notes] == [
        "3 files of foo left out; bar-0.0.tar.gz: the source distribution belongs to another project"
    ]
    assert list(listing.versions) == []


@pytest.mark.parametrize("hashes", [{}, {"md5": "9dd4e461268c8034f5c8564e155c67a6"}, {"sha512": "00"}])
def test_without_a_sha256_the_file_stays_and_says_so(hashes: dict[str, str]) -> None:
    assert only(read(page(entry(hashes=hashes)))).sha256 is None


def test_the_same_file_twice_is_one_file() -> None:
    assert len(all_files(read(page(entry(), entry(), entry("foo-1.0.zip"))))) == 2


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_links_the_one_without_a_signature_is_taken(order: int) -> None:
    links = [entry(), entry(url=f"https://files.example/x?sig=a&se=1#sha256={SHA}")][::order]
    assert only(read(page(*links))).url == "https://files.example/a/foo-1.0-py3-none-any.whl"


@pytest.mark.parametrize("count", [2, 3])
def test_two_digests_for_one_file_name_discredit_both(count: int) -> None:
    digests = [SHA, "1" * 64, SHA][:count]
    listing = read(page(*(entry(hashes={"sha256": digest}) for digest in digests), entry("foo-0.9.zip")))
    assert [file.filename for file in all_files(listing)] == ["foo-0.9.zip"]
    assert codes(listing) == ["HashMismatch"]


@pytest.mark.parametrize(
    ("url", "absolute"),
    [
        ("https://files.example/x/f.whl#sha256=00", "https://files.example/x/f.whl"),
        ("https://files.example/f.whl?sig=a/b", "https://files.example/f.whl?sig=a/b"),
        ("HTTPS://files.example/f.whl", "https://files.example/f.whl"),
        ("https://[2001:db8::1]:8443/f.whl", "https://[2001:db8::1]:8443/f.whl"),
        ("../../files/f.whl", "https://index.example/files/f.whl"),
        ("/files/f.whl", "https://index.example/files/f.whl"),
        ("//files.example/f.whl", "https://files.example/f.whl"),
        ("f.whl", "https://index.example/simple/foo/f.whl"),
    ],
)
def test_urls_become_absolute(url: str, absolute: str) -> None:
    assert only(read(page(entry(url=url)))).url == absolute


def test_urls_are_joined_to_where_the_page_came_from() -> None:
    listing = read(page(entry(url="f.whl")), url="https://mirror.example/pypi/foo/")
    assert only(listing).url == "https://mirror.example/pypi/foo/f.whl"
    assert only(listing).index == INDEX


def test_a_plain_index_may_have_plain_files() -> None:
    listing = read(page(entry(url="http://files.example/f.whl")), url="http://index.example/simple/foo/")
    assert only(listing).url == "http://files.example/f.whl"


def test_a_good_origin_does_not_vouch_for_another() -> None:
    files = [entry(f"foo-{n}.0.zip", url=url) for n, url in enumerate(
        ["https://files.example/0", "https://files.example@evil.example/1", "https://files.example.evil.example/2"])]  # fmt: skip
    assert [file.url for file in all_files(read(page(*files)))] == [
        "https://files.example.evil.example/2",
        "https://files.example/0",
    ]


@pytest.mark.parametrize(
    ("more", "status"),
    [
        ({}, None),
        ({"project-status": {"status": "active"}}, None),
        ({"project-status": {"status": "archived"}}, "archived"),
        ({"project-status": {"status": "quarantined", "reason": "malware"}}, "quarantined: malware"),
        ({"meta": {"api-version": "1.4", "project-status": {"status": "deprecated"}}}, "deprecated"),
    ],
)
def test_project_status_in_both_places(more: dict[str, Any], status: str | None) -> None:
    assert read(page(entry(), **more)).status == status


@pytest.mark.parametrize("version", ["2.0", "3.1", "0.9", "1", "one", "1.x", "", "1.0.0", "9" * 5000 + ".0"])
def test_an_unknown_major_version_is_refused(version: str) -> None:
    with pytest.raises(IndexInvalid):
        read(page(entry(), meta={"api-version": version}))


def test_a_newer_minor_version_is_mentioned() -> None:
    listing = read(page(entry(), meta={"api-version": "1.9"}))
    assert codes(listing) == ["ApiVersionNewer"]
    assert listing.notes[0].subject == INDEX


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("https://public.example/simple/foo/", ["PageRedirected"]),
        ("https://index.example:8443/simple/foo/", ["PageRedirected"]),
        ("http://index.example/other/foo/", []),
    ],
)
def test_a_redirect_to_another_host_is_mentioned(url: str, expected: list[str]) -> None:
    assert codes(read(page(entry()), url=url)) == expected


def test_versions_without_files_are_no_versions() -> None:
    assert list(read(page(entry(), versions=["1.0", "9.0", "what"])).versions) == [Version("1.0")]


@pytest.mark.parametrize("name", ["bar", "fo", "foo-bar"])
def test_the_page_of_another_project(name: str) -> None:
    with pytest.raises(NameMismatch):
        read(page(entry(), name=name))


def test_the_name_is_compared_in_normal_form() -> None:
    assert len(read(page(entry(), name="FOO")).versions) == 1


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "null",
        "{",
        '{"name": "foo"}',
        page(entry())[:-1],
        page(entry()) + "x",
        page(entry("foo\ud800-1.0-py3-none-any.whl")),  # half a surrogate pair: not Unicode, so not JSON
        page(entry(), name=[]),
        page(entry(), files={"a": 1}),
        page(entry(), meta=7),
        page(entry(), meta={"api-version": 1.0}),
        "[" * 200_000,
        '{"meta":{"api-version":"1.1"},"name":"foo","files":' + "[" * 200_000,
        '{"files":' + "[" * 100_000 + "]" * 100_000 + ',"name":"foo"}',
        b"\xff\xfe\x00",
        '{"name": "foo", "files": NaN}',
    ],
    ids=range(17),
)
def test_a_broken_page_is_refused_whole(body: str | bytes) -> None:
    with pytest.raises(IndexInvalid):
        read(body)


@pytest.mark.parametrize(
    "kind",
    [
        "",
        "application/json",
        "text/plain",
        "application/vnd.pypi.simple.v2+json",
        "application/octet-stream",
        "text/htmlx",
    ],
)
def test_only_the_content_type_decides_and_strictly(kind: str) -> None:
    with pytest.raises(IndexInvalid, match="Content-Type"):
        read(page(entry()), kind)


def test_json_under_an_html_label_is_not_guessed() -> None:
    with pytest.raises(IndexInvalid):
        read(page(entry()), HTML)


@pytest.mark.parametrize("kind", ["APPLICATION/vnd.pypi.simple.v1+json ; charset=utf-8", JSON])
def test_the_content_type_may_have_parameters(kind: str) -> None:
    assert len(read(page(entry()), kind).versions) == 1


# -- HTML


def html(*anchors: str, head: str = '<meta name="pypi:repository-version" content="1.0">') -> str:
    return f"<!DOCTYPE html><html><head>{head}</head><body>{''.join(anchors)}</body></html>"


def test_only_the_href_counts() -> None:
    anchor = f'<a href="https://files.example/foo-1.0.tar.gz#sha256={SHA}">foo-2.0-py3-none-any.whl</a>'
    assert only(read(html(anchor), HTML)).filename == "foo-1.0.tar.gz"


@pytest.mark.parametrize(
    ("href", "filename"),
    [
        ("foo-1.0%2Bcpu-py3-none-any.whl", "foo-1.0+cpu-py3-none-any.whl"),
        ("../../f/foo-1.0.zip?x=/y.html", "foo-1.0.zip"),
        ("foo-1.0.zip#sha256=" + SHA + "&amp;egg=foo", "foo-1.0.zip"),
        (" foo-1.0.zip ", "foo-1.0.zip"),
    ],
)
def test_file_name_is_the_last_segment_decoded_once(href: str, filename: str) -> None:
    assert only(read(html(f'<a href="{href}">'), HTML)).filename == filename


@pytest.mark.parametrize(
    "href", ["..%2ffoo-1.0.zip", "..%5cfoo-1.0.zip", "a%252ffoo-1.0.zip", "foo-1.0%00.zip", "x%ff.zip"]
)
def test_decoded_separators_are_refused(href: str) -> None:
    listing = read(html(f'<a href="https://files.example/{href}">x</a>'), HTML)
    assert all_files(listing) == []
    assert codes(listing) == ["FilenameInvalid"]


def test_attributes_of_anchors() -> None:
    anchor = (
        f'<a data-requires-python="&gt;=3.8,&lt;4" data-yanked data-dist-info-metadata="true" '
        f'data-core-metadata="sha256={SHA}" href="/f/foo-1.0-py3-none-any.whl">'
    )
    file = only(read(html(anchor), HTML))
    assert isinstance(file, Wheel)
    assert (file.requires_python, file.yanked, file.metadata, file.sha256) == (">=3.8,<4", "", SHA, None)
    assert file.url == "https://index.example/f/foo-1.0-py3-none-any.whl"


@pytest.mark.parametrize(("value", "meaning"), [("true", ""), ("false", None), ("", ""), ("md5=00", "")])
def test_offer_of_metadata_in_html(value: str, meaning: str | None) -> None:
    file = only(read(html(f'<a data-dist-info-metadata="{value}" href="foo-1.0-py3-none-any.whl">'), HTML))
    assert isinstance(file, Wheel)
    assert file.metadata == meaning


def test_base_changes_where_links_lead_and_only_the_first_one() -> None:
    head = '<base href="/b/"><base href="https://evil.example/">'
    assert only(read(html('<a href="foo-1.0.zip">', head=head), HTML)).url == "https://index.example/b/foo-1.0.zip"


@pytest.mark.parametrize("base", ["file:///etc/", "https://u:p@evil.example/", "javascript:x//", "https://[::"])
def test_a_base_that_leads_astray(base: str) -> None:
    try:
        listing = read(html('<a href="foo-1.0.zip">', head=f'<base href="{base}">'), HTML)
    except IndexInvalid:
        return
    assert codes(listing) == ["UrlForbidden"]


def test_html_status_and_version() -> None:
    head = (
        '<meta name="pypi:repository-version" content="1.4"><meta name="pypi:project-status" content="quarantined">'
        '<meta name="pypi:project-status-reason" content="malware">'
    )
    listing = read(html(head=head), HTML)
    assert listing.status == "quarantined: malware"
    assert list(listing.versions) == []
    with pytest.raises(IndexInvalid):
        read(html(head='<meta name="pypi:repository-version" content="2.0">'), HTML)


def test_a_marked_page_may_be_empty_and_an_unmarked_one_may_have_files() -> None:
    assert list(read(html(), HTML).versions) == []
    assert len(read(html('<a href="foo-1.0.zip">', head=""), HTML).versions) == 1
    assert list(read(html('<a href="foo-1.0.exe">', head=""), HTML).versions) == []


@pytest.mark.parametrize(
    "body",
    [
        '<a href="https://files.example/foo-1.0.zip' + "<" * 20_000,
        "<!--" * 20_000,
        "<![CDATA[" * 2000,
        "<![x[",
        "<!x" * 2000,
        "<a " * 20_000,
        "&#x110000000000000000000000;" * 100,
        "<base href='https://[::'><a href='foo-1.0.zip'>",
    ],
    ids=range(8),
)
def test_malformed_html_ends_well(body: str) -> None:
    try:
        read(body, HTML)
    except DeepLockError:
        return


# -- laws


@given(st.binary(max_size=300), st.sampled_from([JSON, HTML]))
def test_no_bytes_get_past(body: bytes, kind: str) -> None:
    try:
        listing = read(body, kind)
    except DeepLockError:
        return
    assert all(file.name == "foo" for file in all_files(listing))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
KEYS = ["filename", "url", "hashes", "requires-python", "size", "upload-time", "yanked", "core-metadata"]


@settings(max_examples=200)
@given(st.lists(st.dictionaries(st.sampled_from(KEYS), json_values, max_size=3), max_size=4))
def test_wrong_types_never_take_the_good_files_along(changes: list[dict[str, Any]]) -> None:
    good = entry("foo-7.0.zip")
    listing = read(page(*(entry() | change for change in changes), good))
    assert "foo-7.0.zip" in [file.filename for file in all_files(listing)]


FILENAMES = st.lists(
    st.sampled_from(
        [
            f"foo-{v}{s}"
            for v in ("1.0", "1.0.0", "1.0rc1", "1.0-rc1", "2", "x")
            for s in (".zip", ".tar.gz", "-py3-none-any.whl")
        ]
    ),
    unique=True,
)


@given(FILENAMES, st.randoms())
def test_the_order_of_the_page_changes_nothing(filenames: list[str], random: Any) -> None:
    shuffled = list(filenames)
    random.shuffle(shuffled)
    one, other = (read(page(*map(entry, order))) for order in (filenames, shuffled))
    assert [str(version) for version in one.versions] == [str(version) for version in other.versions]
    assert all_files(one) == all_files(other)
    assert list(one.versions) == sorted(set(one.versions), reverse=True)
    kept = [name for name in filenames if not name.startswith(("foo-x", "foo-1.0-rc1-"))]
    assert sorted(file.filename for file in all_files(one)) == sorted(kept)
