"""wordcount: the words of a text, and the most frequent ones of them."""

import re
import string
from collections import Counter

TOP = 10
TOP_MAX = 1000

# Letters and digits of ASCII, and all that is beyond it.
WORD = re.compile(r"[a-z0-9\x80-\U0010ffff]+")
SMALL = str.maketrans(string.ascii_uppercase, string.ascii_lowercase)


class InvalidEvent(Exception):
    pass


def lambda_handler(event, context):
    event = event or {}
    text, top = event.get("text"), event.get("top", TOP)
    if not isinstance(text, str):
        raise InvalidEvent("`text` must be a string")
    if not isinstance(top, int) or not 1 <= top <= TOP_MAX:
        raise InvalidEvent(f"`top` must be an integer from 1 to {TOP_MAX}")
    words = WORD.findall(text.translate(SMALL))
    counts = Counter(words)
    ordered = sorted(counts.items(), key=lambda entry: (-entry[1], entry[0]))
    return {
        "words": len(words),
        "distinct": len(counts),
        "top": [{"word": word, "count": count} for word, count in ordered[:top]],
    }
