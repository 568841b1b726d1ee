"""Bring the files of the root into the site, and let no page load anything from other servers: hooks of MkDocs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FROM_ROOT = ("SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")
# What a browser loads by itself: not the links that a reader follows.
_TAGS = re.compile(r"<(?:script|link|img|iframe|source|video|audio|object|embed|use|image)\b[^>]*>", re.IGNORECASE)
_ADDRESS = re.compile(r"""\b(?:src|srcset|href|data|poster)\s*=\s*["']?((?:https?:)?//[^\s"'>]+)""", re.IGNORECASE)
_STYLE = re.compile(r"""(?:url\(\s*|@import\s+)["']?((?:https?:)?//[^\s"')]+)""", re.IGNORECASE)


def on_files(files: Any, config: Any) -> Any:
    """Add the files as pages."""
    from mkdocs.structure.files import File

    for name in FROM_ROOT:
        content = (ROOT / name).read_text(encoding="utf-8").replace("](docs/", "](")
        files.append(File.generated(config, name, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Any) -> str:
    """Link to the pages instead of the files."""
    for name in FROM_ROOT:
        markdown = markdown.replace(f"](../{name}", f"]({name}")
    return markdown


def on_post_page(output: str, page: Any, config: Any) -> str:
    """End the build where a page would load something from another server."""
    from mkdocs.exceptions import PluginError

    found = loaded_from_elsewhere(output)
    if found:
        raise PluginError(f"{page.file.src_uri} loads from other servers: {', '.join(found)}")
    return output


def loaded_from_elsewhere(html: str) -> list[str]:
    """Return what a browser would load from other servers to show a page, without the links that a reader follows.

    The theme's script loads Mermaid from a server where a page has such a diagram, so it counts too.
    """
    tags = [tag for tag in _TAGS.findall(html) if 'rel="canonical"' not in tag]
    addresses = [address for tag in tags for address in _ADDRESS.findall(tag)]
    diagrams = ["a Mermaid diagram"] if re.search(r"""class=["']?mermaid\b""", html) else []
    return [*addresses, *_STYLE.findall(html), *diagrams]
