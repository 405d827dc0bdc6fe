"""The HTML page of a report: one file with its pictures inside, no scripts, no network."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

STYLE = """
:root { --ink: #1d2330; --soft: #5b6472; --line: #dfe3e8; --band: #f6f7f9; --accent: #b3202a; }
* { box-sizing: border-box; }
body { margin: 0; color: var(--ink); background: #fff; font: 15px/1.5 "Inter", "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
main { max-width: 1180px; margin: 0 auto; padding: 28px 28px 80px; }
h1 { font-size: 26px; font-weight: 650; margin: 0 0 10px; letter-spacing: -0.01em; }
h2 { font-size: 19px; font-weight: 650; margin: 46px 0 8px; padding-top: 14px; border-top: 2px solid var(--ink); }
p { max-width: 820px; margin: 8px 0; } p.soft, figcaption { color: var(--soft); font-size: 13.5px; }
nav { margin: 18px 0 0; padding: 10px 0; border-top: 1px solid var(--line); border-bottom: 1px solid var(--line); font-size: 14px; }
nav a { color: var(--ink); text-decoration: none; margin-right: 18px; white-space: nowrap; } nav a:hover { color: var(--accent); }
.table { overflow-x: auto; margin: 12px 0 22px; }
table { border-collapse: collapse; font-size: 13px; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; padding: 4px 0 6px; font-size: 14px; }
th, td { padding: 4px 12px 4px 0; text-align: right; vertical-align: top; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } td.text, th.text { text-align: left; }
td.text { white-space: normal; min-width: 180px; max-width: 560px; overflow-wrap: anywhere; }
thead th { border-bottom: 1.5px solid var(--ink); font-weight: 600; white-space: normal; vertical-align: bottom; }
tbody td { border-bottom: 1px solid var(--line); } tbody tr:hover { background: var(--band); }
td strong { font-weight: 700; } td.failed, td.failed strong { color: var(--accent); }
figure { margin: 16px 0 26px; } figure img { max-width: 100%; height: auto; }
details summary { cursor: pointer; font-weight: 600; margin: 6px 0; }
@media print { nav { display: none; } h2 { break-after: avoid; } .table, figure { break-inside: avoid; } }
"""

LEFT = ' class="text"'


def page(title: str, summary: Sequence[str], sections: Iterable[Any], pictures: Mapping[str, bytes]) -> str:
    """The page.

    Parameters
    ----------
    title : str
    summary : paragraphs
    sections : of `benchmarks.report.report.Section`
    pictures : SVG by name
    """
    sections = list(sections)
    links = " ".join(f'<a href="#{_anchor(s.title)}">{html.escape(s.title)}</a>' for s in sections)
    first, *rest = [html.escape(text) for text in summary if text]
    head = f"<h1>{html.escape(title)}</h1><p>{first}</p>" + "".join(f'<p class="soft">{text}</p>' for text in rest)
    body = "".join(_section(section, pictures) for section in sections)
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>{html.escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body><main>{head}<nav>{links}</nav>{body}</main></body></html>\n"
    )


def _section(section: Any, pictures: Mapping[str, bytes]) -> str:
    parts = [f'<section><h2 id="{_anchor(section.title)}">{html.escape(section.title)}</h2>']
    if section.text:
        parts.append(f"<p>{html.escape(section.text)}</p>")
    parts += [_table(*told) for told in section.tables]
    for name, caption, _ in section.pictures:
        data = base64.b64encode(pictures[name]).decode()
        picture = f'<img alt="{html.escape(caption)}" src="data:image/svg+xml;base64,{data}">'
        parts.append(
            f'<figure id="{html.escape(name)}"><figcaption>{html.escape(caption)}</figcaption>{picture}</figure>'
        )
    return "".join(parts) + "</section>"


def _table(caption: str, header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    top = "".join(
        f"<th{LEFT if cell in ('remark', 'settings', 'from', 'version', 'why') else ''}>{html.escape(cell)}</th>"
        for cell in header
    )
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    title = f"<caption>{html.escape(caption)}</caption>" if caption else ""
    return f'<div class="table"><table>{title}<thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def _cell(text: str) -> str:
    bold = re.fullmatch(r"\*\*(.*)\*\*", text, re.DOTALL)
    inner = f"<strong>{html.escape(bold[1])}</strong>" if bold else html.escape(text)
    classes = []
    if text == "x" or (bold and not re.match(r"[\d.(]", bold[1])):
        classes.append("failed")
    if len(text) > 30:
        classes.append("text")
    return f'<td class="{" ".join(classes)}">{inner}</td>' if classes else f"<td>{inner}</td>"


def _anchor(title: str) -> str:
    return re.sub(r"\W+", "-", title.lower()).strip("-")
