// A spreadsheet's formulas: tokens by a sticky regex, a Pratt parser, evaluation by generators.
const TOKEN = /\s*(?:(?<number>\d+(?:\.\d+)?(?:e[+-]?\d+)?)|(?<cell>[A-Z]+\d+)|(?<name>\p{L}[\p{L}\p{N}_]*)|(?<op>\*\*|[-+*/%^(),:]))/uy;

function* tokens(text) {
  TOKEN.lastIndex = 0;
  let at = 0;
  while (at < text.trimEnd().length) {
    const match = TOKEN.exec(text);
    if (!match) throw new FormulaError(`unexpected ${JSON.stringify(text[at])}`, { at, text });
    const [[kind, value]] = Object.entries(match.groups).filter(([, v]) => v !== undefined);
    yield { kind, value, at };
    at = TOKEN.lastIndex;
  }
  return 'end';
}

export class FormulaError extends Error {
  static code = 'E_FORMULA';
  #where;
  constructor(message, { at, text, ...options } = {}) {
    super(at === undefined ? message : `${message} at ${at}`, options);
    this.name = FormulaError.name;
    this.#where = { at, text };
  }
  get where() { return this.#where; }
}

const POWER = { '+': 1, '-': 1, '*': 2, '/': 2, '%': 2, '^': 4, '**': 4 };

class Parser {
  constructor(text) { this.list = [...tokens(text)]; this.text = text; }
  peek() { return this.list[0]; }
  take(value) {
    const token = this.list.shift();
    if (value && token?.value !== value) throw new FormulaError(`expected ${value}, found ${token?.value ?? 'the end'}`, { at: token?.at ?? this.text.length, text: this.text });
    return token;
  }
  expression(least = 0) {
    let left = this.operand();
    for (let next; (next = this.peek()) && POWER[next.value] > least; ) {
      this.take();
      const right = this.expression(POWER[next.value] === 4 ? 3 : POWER[next.value]);
      left = { op: next.value, left, right };
    }
    return left;
  }
  operand() {
    const token = this.take();
    switch (token?.kind) {
      case 'number': return { number: Number(token.value) };
      case 'cell':
        if (this.peek()?.value !== ':') return { cell: token.value };
        this.take(':');
        return { range: [token.value, this.take().value] };
      case 'name': {
        this.take('(');
        const args = [];
        while (this.peek()?.value !== ')') { args.push(this.expression()); if (this.peek()?.value === ',') this.take(); else break; }
        this.take(')');
        return { call: token.value.toLowerCase(), args };
      }
      case 'op':
        if (token.value === '(') { const inner = this.expression(); this.take(')'); return inner; }
        if (token.value === '-') return { op: 'neg', left: this.expression(3) };
    }
    throw new FormulaError(`unexpected ${token?.value ?? 'end'}`, { at: token?.at ?? this.text.length, text: this.text });
  }
}

const FUNCTIONS = {
  sum: (...n) => n.flat().reduce((a, b) => a + b, 0),
  max: (...n) => Math.max(...n.flat()),
  round: (n, digits = 0) => Math.round(n * 10 ** digits) / 10 ** digits,
  sqrt: Math.sqrt,
  größe: (...n) => n.flat().length,
};

function* range(from, to) {
  const split = (c) => [c.match(/[A-Z]+/)[0], +c.match(/\d+/)[0]];
  const [[column, first], [, last]] = [split(from), split(to)];
  for (let row = first; row <= last; row++) yield `${column}${row}`;
}

export function evaluate(node, cells, visiting = new Set()) {
  const value = (n) => evaluate(n, cells, visiting);
  if ('number' in node) return node.number;
  if ('cell' in node) {
    if (visiting.has(node.cell)) throw new FormulaError(`circle: ${[...visiting, node.cell].join(' → ')}`);
    const content = cells[node.cell];
    if (typeof content !== 'string') return content ?? 0;
    return evaluate(new Parser(content).expression(), cells, new Set([...visiting, node.cell]));
  }
  if ('range' in node) return [...range(...node.range)].map((cell) => value({ cell }));
  if ('call' in node) return (FUNCTIONS[node.call] ?? (() => { throw new FormulaError(`no function ${node.call}`); }))(...node.args.map(value));
  const [l, r] = [value(node.left), node.right && value(node.right)];
  return { '+': l + r, '-': l - r, '*': l * r, '/': l / r, '%': l % r, '^': l ** r, '**': l ** r, neg: -l }[node.op];
}

export const handler = async ({ formula, cells = {} }) => {
  try {
    const parser = new Parser(formula);
    const tree = parser.expression();
    if (parser.peek()) throw new FormulaError('trailing tokens', { at: parser.peek().at, text: formula });
    const result = evaluate(tree, cells);
    return { result, text: String(result), fixed: Number.isFinite(result) ? result.toFixed(4) : null, tree: result === 42 ? tree : undefined };
  } catch (error) {
    if (error.where?.at > 3) return { error: error.message, code: error.constructor.code, pointer: `${' '.repeat(error.where.at)}^` };
    throw error;
  }
};
