"""A template engine of eighty lines: {{ value|filter }}, {% for %}, {% if %}, {% include %}."""
import html
import re


class TemplateError(Exception):
    def __init__(self, message, line):
        super().__init__(f"{message} (line {line})")
        self.line = line


TOKEN = re.compile(r"({{.*?}}|{%.*?%}|{#.*?#})", re.S)

FILTERS = {
    "upper": str.upper,
    "title": str.title,
    "length": len,
    "default": lambda value, other="": value if value not in (None, "") else other,
    "join": lambda value, sep=", ": sep.join(map(str, value)),
    "money": lambda value: f"{value:,.2f}",
}


class Safe(str):
    pass


FILTERS["safe"] = Safe


def lookup(context, path, line):
    value = context
    for part in path.split("."):
        try:
            value = value[int(part)] if part.isdigit() else value[part]
        except (KeyError, IndexError, TypeError) as error:
            raise TemplateError(f"cannot resolve {path!r} at {part!r}", line) from error
    return value


def evaluate(expression, context, line):
    path, *filters = re.split(r"\s*\|\s*", expression.strip())
    if re.fullmatch(r"'[^']*'|\"[^\"]*\"", path):
        value = path[1:-1]
    elif re.fullmatch(r"-?\d+(\.\d+)?", path):
        value = float(path) if "." in path else int(path)
    else:
        try:
            value = lookup(context, path, line)
        except TemplateError:
            if not any(f.startswith("default") for f in filters):
                raise
            value = None
    for f in filters:
        name, _, argument = f.partition(":")
        if name not in FILTERS:
            raise TemplateError(f"unknown filter {name!r}", line)
        value = FILTERS[name](value, *([argument.strip("'\"")] if argument else []))
    return value


class Template:
    def __init__(self, source, loader=None):
        self.loader = loader
        self.nodes = []
        stack = [("root", self.nodes, 0)]
        line = 1
        for token in TOKEN.split(source):
            if token.startswith("{{"):
                stack[-1][1].append(("value", token[2:-2], line))
            elif token.startswith("{%"):
                word, _, rest = token[2:-2].strip().partition(" ")
                if word in ("for", "if"):
                    body = []
                    stack[-1][1].append((word, rest, line, body))
                    stack.append((word, body, line))
                elif word == "else":
                    *outer, last = stack[-2][1]
                    other = []
                    stack[-2][1][:] = [*outer, (*last, other)]
                    stack[-1] = (stack[-1][0], other, line)
                elif word.startswith("end"):
                    kind, _, _ = stack.pop()
                    if word != "end" + kind:
                        raise TemplateError(f"{word} closes {kind}", line)
                elif word == "include":
                    stack[-1][1].append((word, rest, line))
                else:
                    raise TemplateError(f"unknown tag {word!r}", line)
            elif token and not token.startswith("{#"):
                stack[-1][1].append(("text", token))
            line += token.count("\n")
        if len(stack) > 1:
            raise TemplateError(f"{stack[-1][0]} is never closed", stack[-1][2])

    def render(self, **context):
        return "".join(self._render(self.nodes, context))

    def _render(self, nodes, context):
        for kind, *rest in nodes:
            yield from getattr(self, f"_{kind}")(context, *rest)

    def _text(self, context, text):
        yield text

    def _value(self, context, expression, line):
        value = evaluate(expression, context, line)
        yield value if isinstance(value, Safe) else html.escape(str(value))

    def _if(self, context, expression, line, body, other=()):
        negate = expression.startswith("not ")
        value = evaluate(expression.removeprefix("not "), context, line)
        yield from self._render(body if bool(value) != negate else other, context)

    def _for(self, context, expression, line, body, other=()):
        match = re.fullmatch(r"(\w+) in (.+)", expression)
        if match is None:
            raise TemplateError(f"cannot read {expression!r}", line)
        items = list(evaluate(match[2], context, line))
        for index, item in enumerate(items):
            loop = {"index": index + 1, "first": index == 0, "last": index == len(items) - 1}
            yield from self._render(body, {**context, match[1]: item, "loop": loop})
        if not items:
            yield from self._render(other, context)

    def _include(self, context, name, line):
        yield from self.loader(name.strip("'\" "))._render(self.loader(name.strip("'\" ")).nodes, context)
