"""Nothing can be read by a request but what the page has shown, and what the user has sent: each way in is tried."""

import http.server
import io
import json
import os
import threading
import urllib.parse

import httpx
import numpy as np
import pytest
from page_server import GRADIOS_OWN, QUICK, fetched, page_of
from PIL import Image

from ce_retrieval.app.guard import MOST_JSON, may_name
from ce_retrieval.app.home import made_home
from ce_retrieval.completion.settings import TERM_WEIGHTS

pytest.importorskip("gradio", reason="Gradio is not installed")
pytestmark = GRADIOS_OWN

META = {"_type": "gradio.FileData"}


@pytest.fixture(scope="module")
def secret(tmp_path_factory):
    """A photo of the server that is none of the page's."""
    path = tmp_path_factory.mktemp("secret") / "secret.png"
    Image.fromarray(np.full((80, 100, 3), 77, np.uint8)).save(path)
    return path


@pytest.fixture(scope="module")
def page(crop_index):
    with page_of(crop_index, no_sources=True, max_upload=200_000) as tab:
        yield tab


@pytest.fixture(scope="module")
def photo(bundled_photos):
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(bundled_photos[2][60:220:2, 100:300:2])).save(buffer, "PNG")
    return buffer.getvalue()


@pytest.fixture
def tab(page):
    return page.another()


def served_folder(tab, photo):
    """Where the page keeps what the browser may fetch."""
    return os.path.dirname(os.path.dirname(tab.send(photo, "known.png")))


def forged(path):
    """Every form in which a value may name a file."""
    return [
        {"path": path, "meta": META},
        {"path": path},
        {"path": path, "url": f"/gradio_api/file={path}", "meta": META, "orig_name": "photo.png"},
        {"path": None, "url": path, "meta": META},
        {"url": path, "meta": META},
        {"path": [path], "meta": META},
        {"path": path, "is_stream": True, "meta": META},
        {"path": path, "meta": {"_type": "other"}},
        [{"path": path, "meta": META}],
        {"value": {"path": path, "meta": META}},
        path,
    ]


@pytest.mark.parametrize("number", range(11))
def test_no_forged_value_reads_a_file_of_the_server(tab, photo, secret, number):
    """A mask or a photo that names a file, of a path or an address, in every event that takes one."""
    tab.choose(photo)
    value = forged(str(secret))[number]
    given = {"path": tab.send(photo, "beach.png"), "meta": META}
    for name, data in (
        ("load_mask", [value, False, False]),
        ("complete", [value, None, "", None, "network", {}, None]),
        ("complete", [given, None, "", None, "places", {}, [value]]),
    ):
        try:
            shown = tab.call(name, *data)
        except AssertionError as error:
            assert "enough input values" not in str(error), "the call itself is wrong"
            continue
        assert "did not come from the page" in str(shown[0]), (name, shown)
    for text in (value, json.dumps(value), json.dumps({"path": value, "name": "x.png"})):
        try:
            shown = tab.call("choose", text)
        except AssertionError:
            continue
        assert "did not come from the page" in str(shown[0]), shown
    assert secret.exists(), "nor is it deleted, as an upload would be"


@pytest.mark.parametrize("field", range(7))
def test_no_field_of_any_event_may_name_a_file(tab, secret, field):
    """Gradio looks for files in all values, also where a text is expected."""
    data = ["", None, "", "crops", "index", 5, ""]
    data[field] = {"path": str(secret), "meta": META}
    with pytest.raises(AssertionError):
        tab.call("neighbors", *data)


def test_no_address_is_fetched(tab, photo):
    """A value that names an address would make the server ask for it (SSRF); so would two of Gradio's routes."""

    asked = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(photo)

        def log_message(self, *words):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Handler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{other.server_port}/photo.png"
        for value in forged(address):
            with pytest.raises(AssertionError, match=r"did not come from the page|'meta' field"):
                tab.call("complete", value, None, "", None, "network", {}, None)
                raise AssertionError("it was taken")
            assert "did not come from the page" in tab.call("choose", json.dumps(value))[0]
        for route in (f"file={address}", f"proxy={address}", f"file={urllib.parse.quote(address, safe='')}"):
            assert tab.client.get(f"/gradio_api/{route}").status_code in (403, 404)
        other.shutdown()
    assert asked == []


@pytest.mark.parametrize(
    "made",
    [
        lambda served, secret: secret,
        lambda served, secret: f"{served}/../../{secret}",
        lambda served, secret: f"{served}/../kept",
        lambda served, secret: f"{served}/%2e%2e/%2e%2e{secret}",
        lambda served, secret: f"{served}/..%2f..{secret}",
        lambda served, secret: f"{served}/link.png",
        lambda served, secret: f"{served}/folder/secret.png",
        lambda served, secret: f"//{secret}",
        lambda served, secret: f"file://{secret}",
        lambda served, secret: "/etc/passwd",
        lambda served, secret: "etc/passwd",
        lambda served, secret: ".",
        lambda served, secret: "",
        lambda served, secret: f"{served}/",
        lambda served, secret: f"{served}/x%00{secret}",
    ],
)
def test_no_path_leads_out(tab, photo, secret, made):
    served = served_folder(tab, photo)
    link, folder = os.path.join(served, "link.png"), os.path.join(served, "folder")
    os.symlink(secret, link)
    os.symlink(os.path.dirname(secret), folder)
    try:
        path = made(served, str(secret))
        for prefix in (
            "/gradio_api/file=",
            "/gradio_api/file/",
            "/file=",
            "/gradio_api/proxy=",
            "/static/",
            "/assets/",
        ):
            # As it stands: an ordinary client would resolve the dots itself.
            request = tab.client.build_request("GET", "/")
            request.url = request.url.copy_with(raw_path=f"{prefix}{path}".encode())
            answer = tab.client.send(request)
            assert answer.status_code in (400, 403, 404), (prefix, path, answer.status_code)
            assert secret.read_bytes() not in answer.content and b"root:" not in answer.content
    finally:
        os.unlink(link)
        os.unlink(folder)


def test_what_was_sent_and_shown_can_be_fetched(tab, photo):
    path = tab.send(photo, "beach.png")
    assert tab.client.get(f"/gradio_api/file={path}").content == photo
    tab.call("choose", json.dumps({"path": path, "name": "beach.png"}))
    assert tab.client.get(f"/gradio_api/file={path}").status_code == 403, "it was taken into the user's own folder"


def test_another_user_has_another_photo(page, photo):
    """A session cannot be forged by its values: Gradio keeps them, and a tab that is new has none."""
    one, other = page.another(), page.another()
    one.choose(photo)
    values = [16, 0.2, "", *QUICK.values(), False, False, "blend", "auto", None, *TERM_WEIGHTS.values()]
    shown = other.call("fill", "", "crops", "scenes", "nothing", *values)
    assert "Choose a photo first" in shown[2]
    with pytest.raises(AssertionError):
        other.call("look", event={"index": 0, "value": {"image": {"path": "/etc/passwd", "meta": META}}})


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/gradio_api/run-history/records"),
        ("POST", "/gradio_api/run-history/connect"),
        ("POST", "/gradio_api/vibe-edit"),
        ("GET", "/gradio_api/vibe-code"),
        ("POST", "/gradio_api/component_server"),
        ("POST", "/gradio_api/process_recording"),
        ("GET", "/gradio_api/deep_link"),
        ("GET", "/gradio_api/custom_component/x/client/y/z"),
        ("GET", "/monitoring"),
        ("GET", "/monitoring/summary"),
        ("GET", "/gradio_api/dev/reload"),
        ("GET", "/gradio_api/stream/a/b/c/playlist.m3u8"),
        ("GET", "/docs"),
        ("GET", "/openapi.json"),
        ("PUT", "/gradio_api/upload"),
        ("DELETE", "/"),
    ],
)
def test_routes_that_the_page_does_not_use_are_closed(tab, method, path):
    assert tab.client.request(method, path).status_code == 404


def test_what_is_too_large_is_refused(tab, photo):
    large = tab.client.post("/gradio_api/upload", files={"files": ("large.png", b"x" * 300_000)})
    assert large.status_code == 413
    many = [("files", (f"{number}.png", b"x" * 100_000)) for number in range(4)]
    assert tab.client.post("/gradio_api/upload", files=many).status_code == 413
    body = b'{"data": ["' + b"x" * (MOST_JSON + 1) + b'"]}'
    headers = {"content-type": "application/json"}
    assert tab.client.post("/gradio_api/queue/join", content=body, headers=headers).status_code == 413

    def unannounced():
        for _ in range(60):
            yield b"x" * 10_000

    kind = {"content-type": "multipart/form-data; boundary=b"}
    with pytest.raises((httpx.HTTPError, AssertionError)):
        assert tab.client.post("/gradio_api/upload", content=unannounced(), headers=kind).status_code < 400


def test_another_name_for_this_machine_is_refused(tab):
    for host in ("evil.example", "evil.example:80", "127.0.0.1.evil.example"):
        assert tab.client.get("/config", headers={"host": host}).status_code == 403
    for host in ("localhost:1", "127.0.0.1", "[::1]:5"):
        assert tab.client.get("/config", headers={"host": host}).status_code == 200


def test_the_page_asks_nobody_else(tab):
    text = tab.client.get("/").text
    policy = tab.client.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "connect-src 'self'" in policy
    assert "fonts.googleapis" not in text and "cdnjs" not in text
    assert not tab.config.get("enable_monitoring") and os.environ["GRADIO_ANALYTICS_ENABLED"] == "False"


def test_sources_are_hidden_everywhere(tab, photo, crop_index, crop_folder):
    """No answer of the page holds a path or the name of a file, whatever is asked."""
    names = {path.name for path in crop_folder.rglob("*.*")}
    answers = [json.dumps(tab.config), *map(str, tab.choose(photo)), str(tab.call("offer", "crops"))]
    answers += [str(tab.call("take", "crops", event={"index": 1, "value": None})), str(tab.choose(photo))]
    values = [16, 0.2, "", *QUICK.values(), False, False, "blend", "auto", None, *TERM_WEIGHTS.values()]
    painting = json.dumps({"size": [100, 80], "actions": [{"kind": "ellipse", "box": [30, 20, 70, 60]}]})
    shown = tab.call("fill", painting, "crops", "scenes", "nothing", *values)
    record = json.loads(fetched(tab, shown[8]))
    assert record["candidates"] and all("photo" not in one and "sha256" not in one for one in record["candidates"])
    assert "path" not in record["index"] and record["sha256"]
    answers += [
        str(shown),
        json.dumps(record),
        str(tab.call("look", event={"index": 1, "value": None})),
        str(tab.call("sources")),
    ]
    answers += [str(tab.call("find", painting, "crops", "hole", "index", 9, ""))]
    found = tab.call(
        "neighbors", {"path": tab.send(photo, "beach.png"), "meta": META}, None, "", None, "index", 5, None
    )[0]
    assert len(found) == 5
    answers += [json.dumps(found)]
    for where in ("startswith(source, '/tmp')", "'photo1' in key", "sha256 == 'a'"):
        told = tab.call("find", painting, "crops", "hole", "index", 9, where)[0]
        assert "would tell where photos lie" in told
        assert (
            "would tell where photos lie"
            in tab.call("fill", painting, "crops", "scenes", "nothing", 16, 0.2, where, *values[3:])[2]
        )
    answers += [str(tab.call("find", painting, "crops", "hole", "index", 9, "width > 9999"))]
    for text in answers:
        assert str(crop_folder) not in text and str(crop_index) not in text and str(crop_index.parent) not in text
        assert not [name for name in names if f"/{name}" in text or f" {name}" in text]


def test_values_are_looked_through():
    with made_home() as home:
        (home.served / "shown.png").write_bytes(b"x")
        shown = str(home.served / "shown.png")
        assert may_name([{"a": [{"path": shown, "meta": META}]}, "text", 5, None, {"place": "/etc/passwd"}], home)
        assert not may_name([{"a": [{"path": "/etc/passwd"}]}], home)
        assert not may_name({"path": 5}, home) and not may_name({"url": "http://a/"}, home)
        deep = {"path": shown}
        for _ in range(50):
            deep = [deep]
        assert not may_name(deep, home)
