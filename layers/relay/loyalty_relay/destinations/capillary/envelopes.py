"""V1.1's envelope in XML, which comes where an intermediary or the organisation's default ignores ``format=json``.

Read into what the JSON would be: texts, objects, and lists for repeated members and for ``<element>``s.
"""

from __future__ import annotations

from typing import Any

MAX_DEPTH = 20
MAX_BYTES = 1_000_000


class _NotAnEnvelope(Exception):
    """The document has what no envelope has."""


class _EnvelopeReader:
    """Builds the value of the document's root. Nothing of a document type is read, so that no entity is expanded."""

    def __init__(self) -> None:
        self.open: list[tuple[str, list[tuple[str, Any]], list[str]]] = [("", [], [])]

    def start(self, name: str, attributes: object) -> None:
        if len(self.open) > MAX_DEPTH:
            raise _NotAnEnvelope
        self.open.append((name, [], []))

    def text(self, text: str) -> None:
        self.open[-1][2].append(text)

    def end(self, name: str) -> None:
        _, members, texts = self.open.pop()
        self.open[-1][1].append((name, _value(members) if members else "".join(texts).strip()))

    def refuse(self, *ignored: object) -> None:
        raise _NotAnEnvelope


def _value(members: list[tuple[str, Any]]) -> Any:
    if all(name == "element" for name, _ in members):
        return [value for _, value in members]
    found: dict[str, Any] = {}
    for name, value in members:
        if name not in found:
            found[name] = value
        elif isinstance(found[name], list):
            found[name].append(value)
        else:
            found[name] = [found[name], value]
    return found


def xml_envelope(content: bytes) -> dict[str, Any] | None:
    """Return the envelope of an XML body, ``{"response": ...}``; None for anything else."""
    from xml.parsers import expat

    if len(content) > MAX_BYTES or not content.lstrip().startswith(b"<"):
        return None
    reader, parser = _EnvelopeReader(), expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler = reader.refuse
    try:
        parser.Parse(content.strip(), True)
    except (expat.ExpatError, _NotAnEnvelope, ValueError, LookupError):
        return None
    root = dict(reader.open[0][1])
    inner = root.get("root")
    root = inner if isinstance(inner, dict) else root
    return root if isinstance(root.get("response"), dict) else None
