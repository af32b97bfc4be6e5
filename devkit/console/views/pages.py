"""The pages of docs/, so that a runbook is one click away without a request to another host."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markupsafe import Markup
from starlette.requests import Request
from starlette.responses import FileResponse, Response
from starlette.routing import Route

from devkit.console.rendering import page
from devkit.stacks.errors import NotFound
from devkit.stacks.local import CHECKOUT

MENU: dict[str, str] = {}
DOCS = CHECKOUT / "docs"
_MARKDOWN = MarkdownIt("commonmark", {"html": False}).enable("table")


@cache
def _files() -> dict[str, Path]:
    """Return what may be served, by its path below docs/: a path of a request is only looked up, never opened."""
    return {path.relative_to(DOCS).as_posix(): path for kind in ("md", "png") for path in DOCS.rglob(f"*.{kind}")}


class _Document:
    """A page of docs/ as a view."""

    def __init__(self, name: str, text: str) -> None:
        self.title = text.partition("\n")[0].lstrip("# ")
        self.name = name
        self.text = text

    def as_json(self) -> dict[str, Any]:
        """Return the page as it is in docs/."""
        return {"name": self.name, "text": self.text}

    @property
    def html(self) -> Markup:
        """The page as HTML; HTML within it is shown as text."""
        return Markup(_MARKDOWN.render(self.text))  # noqa: S704 - of our own files, and HTML in them is escaped


def document(request: Request) -> Response:
    """Show a page of docs/, or a picture of it."""
    name = request.path_params["name"]
    if name not in _files():
        raise NotFound(f"docs/ has no page {name}", do="look at docs/ of the checkout")
    path = _files()[name]
    if path.suffix == ".png":
        return FileResponse(path)
    return page(request, "document.html", _Document(name, path.read_text()))


routes = [Route("/docs/{name:path}", document, methods=["GET"])]
