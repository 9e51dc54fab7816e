import xml.etree.ElementTree as ET
from email.utils import parsedate_to_datetime
from xml.dom import minidom
from xml.sax.saxutils import escape

NS = {"dc": "http://purl.org/dc/elements/1.1/", "content": "http://purl.org/rss/1.0/modules/content/", "atom": "http://www.w3.org/2005/Atom"}

for prefix, uri in NS.items():
    ET.register_namespace(prefix, uri)


def rss_items(root):
    for item in root.iterfind("./channel/item"):
        yield {
            "title": item.findtext("title", "(untitled)").strip(),
            "link": item.findtext("link"),
            "author": item.findtext("dc:creator", namespaces=NS),
            "at": parsedate_to_datetime(item.findtext("pubDate")).isoformat(),
            "tags": [c.text for c in item.findall("category")],
            "guid": {"id": item.findtext("guid"), **item.find("guid").attrib},
        }


def atom_items(root):
    for entry in root.iter(f"{{{NS['atom']}}}entry"):
        yield {
            "title": "".join(entry.find("atom:title", NS).itertext()),
            "link": next((link.get("href") for link in entry.findall("atom:link[@rel='alternate']", NS)), None),
            "at": entry.findtext("atom:updated", namespaces=NS),
        }


def to_sitemap(items):
    root = ET.Element("urlset", xmlns="http://www.sitemaps.org/schemas/sitemap/0.9")
    for item in items:
        url = ET.SubElement(root, "url")
        ET.SubElement(url, "loc").text = item["link"]
        ET.SubElement(url, "lastmod").text = item["at"][:10]
        url.append(ET.Comment(f" {escape(item['title'])} "))
    ET.indent(root, "  ")
    return ET.tostring(root, encoding="unicode", xml_declaration=True)


def lambda_handler(event, context):
    root = ET.fromstring(event["xml"])
    items = list(rss_items(root) if root.tag == "rss" else atom_items(root))
    if event.get("format") == "sitemap":
        return to_sitemap(items)
    if event.get("format") == "pretty":
        return minidom.parseString(event["xml"]).toprettyxml(indent=" ")
    return {"root": root.tag, "items": items}
