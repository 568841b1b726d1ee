"""What a visitor of `lexport ui` does on its pages."""

from __future__ import annotations

from .devtools import Page


def follow(page: Page, text: str) -> None:
    """Click the link with this text and wait for the page that it leads to."""
    before = page.evaluate("location.href")
    page.evaluate(f"[...document.querySelectorAll('a')].find(one => one.textContent.includes({text!r})).click()")
    page.until(f"location.href != {before!r} && document.readyState == 'complete'")


def compare(page: Page, form: int = 0) -> None:
    """Compare the two that the first page suggests: runs, or in its second form load tests."""
    page.evaluate(f"document.querySelectorAll('form')[{form}].submit()")
    page.until("location.href.includes('/compare') && document.readyState == 'complete'")


def ask(page: Page, text: str) -> None:
    """Type a text, send it with the keyboard, and wait for the answers."""
    page.evaluate("document.querySelector('#text').focus()")
    page.send("Input.insertText", text=text)
    for key in ("Tab", "Enter"):
        for kind in ("rawKeyDown", "keyUp"):
            code = {"Tab": 9, "Enter": 13}[key]
            extra = {"text": "\r"} if (key, kind) == ("Enter", "rawKeyDown") else {}
            kind = "keyDown" if extra else kind
            page.send("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **extra)
    page.until("document.querySelector('#answers table') && !document.querySelector('[aria-busy]')")
