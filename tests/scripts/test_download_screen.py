import hashlib
import logging
import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from lcd_core.errors import InputError
from screen import download_screen

CONTENT = np.random.default_rng(0).bytes(3_000_000)
MD5 = hashlib.md5(CONTENT).hexdigest()
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        if self.path == "/missing.h5ad":
            self.send_error(404)
            return
        if self.path == "/forbidden.h5ad":
            self.send_error(403)
            return
        if self.path == "/moved.h5ad":
            self.send_response(302)
            self.send_header("Location", "/screen.h5ad")
            self.end_headers()
            return
        self.send_response(200)
        if self.path != "/unannounced.h5ad":
            self.send_header("Content-Length", str(len(CONTENT)))
        self.end_headers()
        self.wfile.write(CONTENT[: 2_000_000 if self.path == "/broken.h5ad" else None])

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{httpd.server_port}"
    httpd.shutdown()
    httpd.server_close()


@pytest.fixture(autouse=True)
def _no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "*")


def download(folder: Path, url: str, **expected: object) -> Path:
    path = folder / "downloads" / "screen.h5ad"
    checks: dict[str, object] = {"size": None, "md5": None, "sha256": None}
    download_screen.main(screen=str(path), url=url, **(checks | expected))  # type: ignore[arg-type]
    return path


def refused(folder: Path, url: str, **expected: object) -> str:
    with pytest.raises(InputError) as error:
        download(folder, url, **expected)
    assert url in str(error.value)
    assert error.value.remedy
    assert not list((folder / "downloads").iterdir()), "nothing is left, under no name"
    return str(error.value)


@pytest.mark.parametrize(
    "expected",
    [
        {},
        {"size": len(CONTENT), "md5": MD5, "sha256": SHA256},
        {"size": len(CONTENT), "md5": MD5.upper(), "sha256": ""},
        {"sha256": SHA256},
    ],
)
@pytest.mark.parametrize("name", ["screen", "moved", "unannounced"])
def test_download(tmp_path: Path, server: str, name: str, expected: dict) -> None:
    assert download(tmp_path, f"{server}/{name}.h5ad", **expected).read_bytes() == CONTENT


def test_file_address(tmp_path: Path) -> None:
    (tmp_path / "source.h5ad").write_bytes(CONTENT)
    url = (tmp_path / "source.h5ad").as_uri()
    assert download(tmp_path, url, md5=MD5, size=len(CONTENT)).read_bytes() == CONTENT
    assert "No such file" in refused(tmp_path / "other", f"{url}.gone")


def test_progress(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(download_screen, "PROGRESS_INTERVAL", 0.0)
    with caplog.at_level(logging.INFO):
        download(tmp_path, f"{server}/screen.h5ad")
    assert "1,048,576 of 3,000,000 bytes" in caplog.text


@pytest.mark.parametrize(
    ("field", "expected", "found"),
    [("size", 2_999_999, "3000000"), ("md5", "0" * 32, MD5), ("sha256", "f" * 64, SHA256)],
)
def test_another_file(
    tmp_path: Path, server: str, field: str, expected: object, found: str
) -> None:
    text = refused(tmp_path, f"{server}/screen.h5ad", **{field: expected})
    assert f"expected {expected}, found {found}" in text
    assert f"screen.{field}" in text


@pytest.mark.parametrize(("name", "code"), [("missing", "404"), ("forbidden", "403")])
def test_refused_by_the_server(tmp_path: Path, server: str, name: str, code: str) -> None:
    assert f"HTTP {code}" in refused(tmp_path, f"{server}/{name}.h5ad")


def test_connection_refused(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    assert "refused" in refused(tmp_path, f"http://127.0.0.1:{port}/screen.h5ad")


def test_connection_cut(tmp_path: Path, server: str) -> None:
    text = refused(tmp_path, f"{server}/broken.h5ad")
    assert "2,000,000" in text


@pytest.mark.parametrize("url", ["gopher://host/screen.h5ad", "screen.h5ad", "http://[/a.h5ad"])
def test_addresses_of_no_known_kind(tmp_path: Path, url: str) -> None:
    assert "failed" in refused(tmp_path, url)


def test_earlier_download_survives_a_failure(tmp_path: Path, server: str) -> None:
    path = download(tmp_path, f"{server}/screen.h5ad")
    with pytest.raises(InputError):
        download(tmp_path, f"{server}/screen.h5ad", md5="0" * 32)
    assert path.read_bytes() == CONTENT


def test_errors_of_the_disk_are_not_blamed_on_the_network(
    tmp_path: Path, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(download_screen, "open", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        download(tmp_path, f"{server}/screen.h5ad")
    assert not list((tmp_path / "downloads").iterdir())
