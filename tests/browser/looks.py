"""What can be seen of a page, asked in the browser: sizes, colours, drawings, what is cut off."""

from __future__ import annotations

from typing import Any

from .devtools import Page

A4 = 718  # CSS pixels between margins of 1 cm

_COLOURS = """
const numbers = colour => { const found = colour.match(/[\\d.]+/g).map(Number);
  return found.length < 4 ? [...found, 1] : found };
const light = ([r, g, b]) => { const one = v => (v /= 255) <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4;
  return 0.2126 * one(r) + 0.7152 * one(g) + 0.0722 * one(b) };
const behind = node => { for (; node; node = node.parentElement) {
  const found = numbers(getComputedStyle(node).backgroundColor); if (found[3] === 1) return found }
  return [255, 255, 255, 1] };
const ratio = (one, other) => { const [dark, bright] = [light(one), light(other)].sort((a, b) => a - b);
  return (bright + 0.05) / (dark + 0.05) };
"""


def fits(page: Page) -> bool:
    """Whether the page as a whole scrolls down only."""
    return bool(page.evaluate("document.documentElement.scrollWidth <= document.documentElement.clientWidth"))


def boxes(page: Page, selector: str) -> list[dict[str, Any]]:
    """The text, left, right, width and height of each element, as laid out."""
    found: list[dict[str, Any]] = page.evaluate(
        f"""[...document.querySelectorAll({selector!r})].map(node => {{
          const {{left, right, width, height}} = node.getBoundingClientRect();
          return {{text: node.textContent.trim(), left, right, width, height}} }})"""
    )
    return found


def cut_off(page: Page, selector: str) -> list[str]:
    """The texts of elements that are hidden, or that the window or a box around them cuts off."""
    found: list[str] = page.evaluate(
        f"""[...document.querySelectorAll({selector!r})].filter(node => {{
          const box = node.getBoundingClientRect();
          const edge = document.documentElement.clientWidth;
          if (!box.width || !box.height || box.left < -0.5 || box.right > edge + 0.5) return true;
          if (node.scrollWidth > node.clientWidth + 1 && getComputedStyle(node).display != 'inline') return true;
          for (let up = node.parentElement; up; up = up.parentElement) {{
            const around = up.getBoundingClientRect();
            if (getComputedStyle(up).overflowX != 'visible' && box.right > around.right + 0.5) return true }}
          return false }}).map(node => node.tagName + ' ' + node.textContent.trim())"""
    )
    return found


def faint(page: Page, least: float = 4.5) -> list[str]:
    """The texts whose contrast with what is behind them is below that of WCAG's level AA, with the ratio."""
    found: list[str] = page.evaluate(
        f"""(() => {{ {_COLOURS}
          const texts = [...document.querySelectorAll('body *')].filter(node =>
            [...node.childNodes].some(one => one.nodeType == 3 && one.data.trim()) &&
            !['TITLE', 'STYLE'].includes(node.tagName.toUpperCase()) && node.getClientRects().length);
          return texts.map(node => {{ const style = getComputedStyle(node);
            const colour = node instanceof SVGElement ? style.fill : style.color;
            return [node.textContent.trim(), ratio(numbers(colour), behind(node))] }})
            .filter(([, found]) => found < {least}).map(([text, found]) => text + ' ' + found.toFixed(2)) }})()"""
    )
    return found


def drawings(page: Page) -> list[dict[str, Any]]:
    """Each chart: its title, how much is drawn, what lies outside, which texts overlap, the px of its letters."""
    found: list[dict[str, Any]] = page.evaluate(
        """[...document.querySelectorAll('figure svg[role=img]')].map(svg => {
          const frame = svg.getBoundingClientRect(), near = 1;
          const drawn = [...svg.querySelectorAll('.line, .mark, .bar, .span, rect')].filter(node => {
            const box = node.getBoundingClientRect(); return box.width + box.height > 1 });
          const texts = [...svg.querySelectorAll('text')]
            .map(node => [node.textContent, node.getBoundingClientRect()]);
          const outside = [...drawn.map(node => [node.getAttribute('class'), node.getBoundingClientRect()]), ...texts]
            .filter(([, box]) => box.left < frame.left - near || box.right > frame.right + near ||
              box.top < frame.top - near || box.bottom > frame.bottom + near).map(([name]) => name);
          const overlap = texts.flatMap(([name, one], place) => texts.slice(place + 1).filter(([, other]) =>
            one.left < other.right - near && other.left < one.right - near &&
            one.top < other.bottom - near && other.top < one.bottom - near).map(([other]) => name + ' / ' + other));
          const scale = frame.width / svg.viewBox.baseVal.width;
          return {title: svg.getAttribute('aria-label'), drawn: drawn.length, outside, overlap, width: frame.width,
            letters: scale * parseFloat(getComputedStyle(svg.querySelector('text')).fontSize)} })"""
    )
    return found


def rows(page: Page, heading: str) -> list[dict[str, str]]:
    """The rows of the table below a heading, each by the heads of its columns."""
    found: list[dict[str, str]] = page.evaluate(
        f"""(() => {{ let node = [...document.querySelectorAll('h2')].find(one => one.textContent == {heading!r});
          while (!node.querySelector('table')) node = node.nextElementSibling;
          const heads = [...node.querySelectorAll('th')].map(one => one.textContent);
          return [...node.querySelectorAll('tbody tr')].map(row =>
            Object.fromEntries([...row.cells].map((cell, place) => [heads[place], cell.textContent]))) }})()"""
    )
    return found
