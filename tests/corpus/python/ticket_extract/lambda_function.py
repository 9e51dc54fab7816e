"""Pulls structured data out of support mails."""
import html
import re
import unicodedata
from html.parser import HTMLParser

PATTERNS = {
    "order": re.compile(r"\b(?:order|bestellung)\s*(?:no\.?|nr\.?|#)?\s*:?\s*([A-Z]{1,3}-?\d{3,})\b", re.I),
    "email": re.compile(r"[\w.+-]+@(?:[\w-]+\.)+[a-z]{2,}", re.I),
    "phone": re.compile(r"(?<!\w)\+?\d[\d /()-]{6,}\d(?!\w)"),
    "amount": re.compile(r"(?:(?P<cur>[€$£])\s?(?P<a>\d[\d.,]*\d|\d)|(?P<b>\d[\d.,]*\d|\d)\s?(?P<code>EUR|USD|€))"),
    "date": re.compile(r"\b(?P<y>20\d\d)-(?P<m>0[1-9]|1[0-2])-(?P<d>[0-2]\d|3[01])\b"),
}

QUOTED = re.compile(r"^(?:>.*|On .+ wrote:|-- ?)$\n?", re.M)
CARD = re.compile(r"\b(\d{4})[ -]?(\d{4})[ -]?(\d{4})[ -]?(\d{4})\b")


class Text(HTMLParser):
    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.parts, self.links, self.skip = [], [], 0

    def handle_starttag(self, tag, attrs):
        if tag in ("script", "style"):
            self.skip += 1
        elif tag == "a":
            self.links.append(dict(attrs).get("href"))
        elif tag in ("br", "p", "div"):
            self.parts.append("\n")

    def handle_endtag(self, tag):
        if tag in ("script", "style"):
            self.skip -= 1

    def handle_data(self, data):
        if not self.skip:
            self.parts.append(data)


def luhn(number):
    digits = [int(d) for d in reversed(number)]
    return sum(d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits)) % 10 == 0


def mask(match):
    number = "".join(match.groups())
    return f"**** {match[4]}" if luhn(number) else match[0]


def slug(text):
    text = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


def extract(body, is_html):
    links = []
    if is_html:
        parser = Text()
        parser.feed(body)
        parser.close()
        body, links = "".join(parser.parts), parser.links
    body = QUOTED.sub("", html.unescape(body))
    body = CARD.sub(mask, body)
    found = {}
    for name, pattern in PATTERNS.items():
        hits = []
        for match in pattern.finditer(body):
            groups = {k: v for k, v in match.groupdict().items() if v}
            hits.append(groups or (match[1] if pattern.groups else match[0]))
        if hits:
            found[name] = hits
    words = re.findall(r"[^\W\d_]{3,}", body)
    return {"fields": found, "links": links, "words": len(words), "shout": sum(w.isupper() for w in words), "text": " ".join(body.split())[:200]}


def lambda_handler(event, context):
    return [{"slug": slug(mail["subject"]), **extract(mail["body"], mail.get("html", False))} for mail in event["mails"]]
