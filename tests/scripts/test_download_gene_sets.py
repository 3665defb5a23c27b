"""Download of gene sets: gseapy's own client on faked answers of the server, and a faked client."""

import logging
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import gseapy.msigdb
import pandas as pd
import pytest
import requests

from effects import download_gene_sets
from lcd_core.errors import InputError
from pipeline.gene_sets import read_gmt

ANSWER = "FIRST\thttps://a.org/FIRST\tG1\tG2\nSECOND\thttps://a.org/SECOND\tG2\tG3\tG4\n"
SETS = {"FIRST": {"G1", "G2"}, "SECOND": {"G2", "G3", "G4"}}
CATEGORY, VERSION = "c5.go.cc", "2024.1.Hs"


def download(folder: Path, category: str = CATEGORY, version: str = VERSION) -> Path:
    path = folder / "downloads" / "sets.gmt"
    download_gene_sets.main(gene_sets=str(path), category=category, version=version)
    return path


def refused(folder: Path, category: str = CATEGORY, version: str = VERSION) -> str:
    with pytest.raises(InputError) as error:
        download(folder, category, version)
    assert error.value.where == f"MSigDB {version}, {category}"
    assert error.value.found
    assert error.value.remedy
    assert not list(folder.rglob("*.gmt")), "nothing is left, under no name"
    return str(error.value)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Callable[..., list[str]]:
    """Answer every request of gseapy's client with a text, a refusal or an error."""

    def answer(text: str = ANSWER, ok: bool = True, error: Exception | None = None) -> list[str]:
        asked: list[str] = []

        def get(url: str, **_: object) -> SimpleNamespace:
            asked.append(url)
            if error is not None:
                raise error
            return SimpleNamespace(ok=ok, text=text)

        monkeypatch.setattr(gseapy.msigdb.requests, "get", get)
        return asked

    return answer


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that knows two versions and two categories, and whose download finds nothing."""

    class Client:
        @classmethod
        def get_gmt(cls, category: str, dbver: str) -> None:
            return None

        @classmethod
        def list_dbver(cls) -> pd.DataFrame:
            return pd.DataFrame({0: ["2024.1.Hs", "2023.1.Mm"], 1: ["then", "before"]})

        @classmethod
        def list_category(cls, dbver: str) -> list[str]:
            return ["h.all", "c5.go.cc"]

    monkeypatch.setattr(download_gene_sets, "Msigdb", Client)


def test_download(
    tmp_path: Path, server: Callable[..., list[str]], caplog: pytest.LogCaptureFixture
) -> None:
    asked = server()
    with caplog.at_level(logging.INFO):
        path = download(tmp_path)
    assert read_gmt(path) == SETS
    assert path.read_text().splitlines()[0] == "FIRST\tMSigDB 2024.1.Hs\tG1\tG2"
    assert "2 gene sets with 4 genes" in caplog.text
    (url,) = asked
    assert url.endswith("2024.1.Hs/c5.go.cc.v2024.1.Hs.symbols.gmt")
    assert [p.name for p in path.parent.iterdir()] == ["sets.gmt"]


def test_windows_line_ends_are_read(tmp_path: Path, server: Callable[..., list[str]]) -> None:
    server(ANSWER.replace("\n", "\r\n"))
    assert read_gmt(download(tmp_path)) == SETS


@pytest.mark.parametrize(
    "error",
    [
        requests.exceptions.ConnectionError("name resolution failed"),
        requests.exceptions.ReadTimeout("read timed out"),
        requests.exceptions.ProxyError("the proxy refuses"),
    ],
)
def test_failures_of_the_network(
    tmp_path: Path, server: Callable[..., list[str]], error: Exception
) -> None:
    server(error=error)
    text = refused(tmp_path)
    assert "the download failed" in text
    assert str(error) in text
    assert "by hand" in text


@pytest.mark.parametrize(
    "text", ["", "\n", "<!DOCTYPE html>\n<p>Log in first</p>\n", ANSWER + "THIRD\turl\n"]
)
def test_what_is_no_collection_is_refused(
    tmp_path: Path, server: Callable[..., list[str]], text: str
) -> None:
    server(text)
    assert "no collection of gene sets" in refused(tmp_path)


def test_unknown_version_names_the_versions(tmp_path: Path, client: None) -> None:
    text = refused(tmp_path, version="2042.1.Hs")
    assert "no such version" in text
    assert "choose one of 2023.1.Mm, 2024.1.Hs" in text


def test_unknown_category_names_the_categories(tmp_path: Path, client: None) -> None:
    text = refused(tmp_path, category="c55")
    assert "no such category" in text
    assert "found:  c55" in text
    assert "choose one of c5.go.cc, h.all" in text


def test_known_names_that_the_server_does_not_hand_out(tmp_path: Path, client: None) -> None:
    text = refused(tmp_path)
    assert "does not hand out" in text
    assert "later" in text


@pytest.mark.parametrize("error", [None, requests.exceptions.ConnectionError("gone")])
def test_names_that_cannot_be_listed(
    tmp_path: Path,
    server: Callable[..., list[str]],
    monkeypatch: pytest.MonkeyPatch,
    error: Exception | None,
) -> None:
    """Neither a refusal of the lists nor a missing parser of them hides what went wrong."""
    asked = server(ok=False)
    if error is not None:
        fetch = gseapy.msigdb.requests.get

        def get(url: str, **options: object) -> object:
            if not url.endswith(".gmt"):
                raise error
            return fetch(url, **options)

        monkeypatch.setattr(gseapy.msigdb.requests, "get", get)
    text = refused(tmp_path, category="c99", version="1.0")
    assert "does not hand out" in text
    assert "version 1.0, category c99" in text
    assert asked[0].endswith("1.0/c99.v1.0.symbols.gmt")


def test_earlier_download_survives_a_failure(
    tmp_path: Path, server: Callable[..., list[str]]
) -> None:
    server()
    path = download(tmp_path)
    for answer in ({"text": "<html>"}, {"error": requests.exceptions.ConnectionError("gone")}):
        server(**answer)
        with pytest.raises(InputError):
            download(tmp_path)
        assert read_gmt(path) == SETS
        assert [p.name for p in path.parent.iterdir()] == ["sets.gmt"]


def test_errors_of_the_disk_are_not_blamed_on_the_network(
    tmp_path: Path, server: Callable[..., list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    server()

    def full(*_: object, **__: object) -> object:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="No space left"):
        download(tmp_path)
    assert not list(tmp_path.rglob("*.gmt"))
