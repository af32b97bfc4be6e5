"""V1.1 in XML: repeated elements for lists, ``<response>`` as the root, no wrapper around list items.

The vendor's samples disagree about the XML form; this is the hand-written one (an assumption of the sandbox).
"""

from __future__ import annotations

from typing import Any
from xml.etree import ElementTree as ET

from devkit.sandbox.capillary.codes import ApiError


def read_xml(raw: bytes) -> dict[str, Any]:
    """Return an XML document in the shape of its JSON form: root element to content. Raises ApiError 400."""
    if b"<!DOCTYPE" in raw:
        raise ApiError(400, "Invalid input, a document type is not accepted", http_status=400)
    try:
        root = ET.fromstring(raw)  # noqa: S314 - no document type, so no entities; 127.0.0.1 only
    except ET.ParseError:
        raise ApiError(400, "Invalid input, the body is not XML", http_status=400) from None
    return {root.tag: _value(root)}


def _value(element: ET.Element) -> Any:
    if len(element) == 0:
        return (element.text or "").strip()
    value: dict[str, Any] = {}
    for child in element:
        content = _value(child)
        if child.tag not in value:
            value[child.tag] = content
        elif isinstance(value[child.tag], list):
            value[child.tag].append(content)
        else:
            value[child.tag] = [value[child.tag], content]
    return value


def write_xml(body: dict[str, Any]) -> bytes:
    """Return a body with one key as an XML document of that root."""
    ((name, content),) = body.items()
    root = ET.Element(name)
    _fill(root, content)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _fill(element: ET.Element, content: Any) -> None:
    if isinstance(content, dict):
        for name, value in content.items():
            for each in value if isinstance(value, list) else [value]:
                _fill(ET.SubElement(element, name), each)
    elif content is not None:
        element.text = str(content).lower() if isinstance(content, bool) else str(content)
