"""XML from strangers, read without trust: lxml, told to fetch nothing and to expand nothing.

What ad servers get wrong is mended only where it cannot mean anything else: white space before the
document, and a bare ``&`` in an address. The parser's own recovery is never used: it turns
``a=1&b=2`` into ``a=1=2``, a wrong address that nobody notices. Elements are matched by their local
names, whatever namespace they claim: VAST comes with and without one, VMAP with two.

This is not a validator: `vast` and `vmap` take what they understand and leave the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TypeAlias
from urllib.parse import quote

from lxml import etree
from lxml.etree import _Element

Element: TypeAlias = _Element

LIMIT = 2 << 20
"""Bytes. The setting `server.streams.answer_bytes` says so too; this holds without settings."""
MOST_TAGS = 40_000
"""In a document. A pod of six ads has a thousand; megabytes of empty elements would only take
time, and reading happens where everybody waits for it."""

_DECLARED = re.compile(rb"<\?xml\s[^>]*?encoding\s*=\s*[\"']([A-Za-z0-9._-]{1,40})[\"']")
_DECLARATION = re.compile(r"\A<\?xml\s.*?\?>", re.DOTALL)
_EIGHT_BIT = re.compile(r"us-ascii|iso-8859-([1-9]|1[0-6])|windows-125[0-8]")
"""Encodings that are taken beside UTF-8 and UTF-16. Python knows many more, some of them slow."""

_TOKEN = re.compile(
    r"<!\[CDATA\[.*?(?:\]\]>|\Z)|<!--.*?(?:-->|\Z)|<\?.*?(?:\?>|\Z)"
    r"|(?P<doctype><!DOCTYPE)"
    r"|(?P<bare>&(?!(?:amp|lt|gt|quot|apos|#[0-9]{1,7}|#x[0-9A-Fa-f]{1,6});))",
    re.DOTALL,
)
"""What must be looked at before parsing, and the sections in which it would mean nothing.
A section that never ends is taken to the end, so that one pass over the text is enough."""

_BLANK = " \t\r\n"
_NUMBER = re.compile(r"\s*([0-9]{1,9})(?:\.[0-9]*)?\s*")
_ADDRESS = re.compile(r"https?://[!-~]+", re.IGNORECASE)
_NO_HOST = re.compile(r"https?://([/?#\\]|[^/?#]*%)", re.IGNORECASE)
_PRINTABLE = bytes(range(0x21, 0x7F)).decode()


class XmlError(Exception):
    """A document that cannot be used."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(f"{code}: {reason}")
        self.code = code
        """100: not XML; 101: other XML than expected; 102: a version that is not supported."""
        self.reason = reason


def parse(data: bytes, limit_bytes: int = LIMIT) -> Element:
    """The root of a document. Raises `XmlError` 100 for what is no XML, or not safe to read."""
    if len(data) > limit_bytes:
        raise XmlError(
            100, f"the answer has {len(data)} bytes, more than the {limit_bytes} allowed"
        )
    return parse_text(_decoded(data))


def parse_text(text: str) -> Element:
    """Likewise, of what is text already: a document within a document."""
    document = text.lstrip(_BLANK)
    if not document:
        raise XmlError(100, "the answer is empty")
    # Tags that are text here may be read as a document within this one.
    if document.count("<") + document.count("&lt;") > MOST_TAGS:
        raise XmlError(100, f"the answer has more than {MOST_TAGS} tags")
    document = _TOKEN.sub(_mended, _DECLARATION.sub("", document, count=1))
    # A parser of its own for each document: one that is shared keeps every name it ever saw.
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(document.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise XmlError(100, f"the answer is not XML: {error.msg}") from error


def _decoded(data: bytes) -> str:
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        encoding = "utf-16"
    else:
        data = data.removeprefix(b"\xef\xbb\xbf")
        declared = _DECLARED.match(data.lstrip()[:200])
        named = declared[1].decode().lower() if declared else ""
        # "utf-16" over single bytes, as it is found: then it was converted on its way.
        encoding = named if _EIGHT_BIT.fullmatch(named) else "utf-8"
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError) as error:
        raise XmlError(100, f"the answer is not text in {encoding}") from error


def _mended(token: re.Match[str]) -> str:
    if token["doctype"]:
        raise XmlError(100, "the answer has a DOCTYPE, which is refused: it could define entities")
    return "&amp;" if token["bare"] else token[0]


# What is read of an element


def name(element: Element) -> str:
    """The local name."""
    return str(element.tag).rpartition("}")[2]


def children(element: Element | None, *path: str) -> Iterator[Element]:
    """All elements at the end of a path of local names, in document order."""
    if element is None:
        return
    head, *rest = path
    for child in element:
        if name(child) == head:
            if rest:
                yield from children(child, *rest)
            else:
                yield child


def first(element: Element | None, *path: str) -> Element | None:
    return next(children(element, *path), None)


def text(element: Element | None, *path: str) -> str:
    """The text of an element, or of the first one at the end of a path; stripped."""
    found = first(element, *path) if path else element
    return "" if found is None else (found.text or "").strip()


def attribute(element: Element, *names: str) -> str:
    """The first of some attributes that says something; stripped."""
    return next((value for one in names if (value := element.get(one, "").strip())), "")


def number(element: Element, *names: str) -> int:
    """A whole number out of an attribute; 0 for anything else."""
    found = _NUMBER.fullmatch(attribute(element, *names))
    return int(found[1]) if found else 0


def flag(element: Element, named: str, *, default: bool) -> bool:
    value = attribute(element, named).lower()
    return value in {"true", "1"} if value else default


def address(element: Element | None, *path: str) -> str:
    """The http(s) address in an element's text; nothing for anything else.

    Written as a browser would ask it: line breaks and tabs within are left out, spaces and what is
    not ASCII encoded (https://url.spec.whatwg.org/#concept-basic-url-parser). So none can break
    out of a line of a playlist or of a header. One without a scheme is asked by https.
    """
    written = text(element, *path)
    if written.startswith("//"):
        written = f"https:{written}"
    if not _ADDRESS.fullmatch(written):  # nearly every one is as it should be
        written = quote(re.sub(r"[\t\r\n]", "", written), safe=_PRINTABLE)
    return written if _ADDRESS.fullmatch(written) and not _NO_HOST.match(written) else ""


def addresses(element: Element | None, *path: str) -> tuple[str, ...]:
    return tuple(found for one in children(element, *path) if (found := address(one)))
