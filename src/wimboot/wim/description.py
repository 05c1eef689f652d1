"""TEMPORARY until formats/wimxml.py exists."""
from __future__ import annotations
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from wimboot.errors import FormatError

@dataclass(frozen=True)
class ImageXml:
    name: str

def read_images(xml):
    try:
        root = ET.fromstring(xml.decode("utf-16"))
    except Exception as e:
        raise FormatError("XML data", 0, str(e))
    return tuple(ImageXml(i.findtext("NAME") or "") for i in root.findall("IMAGE"))

def new_document():
    return "\ufeff<WIM></WIM>".encode("utf-16-le")

def with_image(xml, image, counts):
    root = ET.fromstring(xml.decode("utf-16"))
    e = ET.SubElement(root, "IMAGE", INDEX=str(len(root.findall("IMAGE")) + 1))
    ET.SubElement(e, "NAME").text = image.name
    for k, v in zip(("DIRCOUNT", "FILECOUNT", "TOTALBYTES", "HARDLINKBYTES"), counts):
        ET.SubElement(e, k).text = str(v)
    return ("\ufeff" + ET.tostring(root, encoding="unicode")).encode("utf-16-le")

def with_total_bytes(xml, total):
    root = ET.fromstring(xml.decode("utf-16"))
    e = root.find("TOTALBYTES")
    if e is None: e = ET.SubElement(root, "TOTALBYTES")
    e.text = str(total)
    return ("\ufeff" + ET.tostring(root, encoding="unicode")).encode("utf-16-le")
