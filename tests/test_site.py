"""The documentation is a site that builds without a warning, and asks no other host for anything."""

import os
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest

from tests.documents import DOCS, ROOT

FETCHES = {"src", "srcset", "href", "data", "poster"}
"""Attributes by which a page has a browser fetch something; a link in the text is only followed."""


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` does it."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return folder


def test_every_page_is_there(site: Path) -> None:
    pages = {path.relative_to(DOCS).with_suffix(".html") for path in DOCS.rglob("*.md")}
    assert len(pages) > 20
    assert {page for page in pages if not (site / page).is_file()} == set()


def test_nothing_comes_from_another_host(site: Path) -> None:
    asked = {url for page in site.rglob("*.html") for url in fetched(page.read_text())}
    assert asked, "pages without a style or a script were not read right"
    assert [url for url in asked if url.startswith(("http:", "https:", "//"))] == []
    styles = [path.read_text() for path in site.rglob("*.css")]
    assert styles
    assert not any("url(http" in style or "url(//" in style for style in styles)


def test_the_docstrings_of_the_core_are_there(site: Path) -> None:
    page = (site / "reference/api/connector.html").read_text()
    assert 'id="lakeflow_redis.LakeflowConnect.read_table"' in page
    assert "Divide a read into parts that other processes can read" in page
    assert "strings, as Spark and Unity Catalog hand them over" in page, "what a class takes"


def test_the_search_finds_options_and_methods(site: Path) -> None:
    index = (site / "search/search_index.json").read_text()
    assert "max_server_share" in index
    assert "get_partitions" in index


def test_what_is_included_from_elsewhere_is_there(site: Path) -> None:
    assert "Keep a Changelog" in (site / "changelog.html").read_text()
    assert (
        "redis-py, one command per key" in (site / "explanation/memory-and-speed.html").read_text()
    )
    assert not [page for page in site.rglob("*.html") if "--8&lt;--" in page.read_text()]


class _Fetched(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag != "a":
            self.urls += [value for name, value in attrs if name in FETCHES and value]


def fetched(html: str) -> list[str]:
    """What a browser asks for when it shows a page."""
    parser = _Fetched()
    parser.feed(html)
    return parser.urls


def test_what_a_browser_fetches_is_told_from_what_it_only_links_to() -> None:
    page = '<link href="https://a/x.css"><a href="https://b/">b</a><script src="https://c/y.js">'
    assert fetched(page) == ["https://a/x.css", "https://c/y.js"]
