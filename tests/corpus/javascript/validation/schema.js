class ValidationError extends Error {
  constructor(problems) {
    super(problems.map(({ path, message }) => `${path || '(root)'} ${message}`).join('; '));
    Object.defineProperty(this, 'name', { value: 'ValidationError' });
    this.problems = problems;
    Error.captureStackTrace?.(this, ValidationError);
  }
}

class Schema {
  #rules = [];
  #optional = false;
  #fallback;

  rule(test, message) {
    this.#rules.push((value) => (test(value) ? null : message));
    return this;
  }
  optional() { this.#optional = true; return this; }
  withDefault(value) { this.#fallback = value; return this; }

  visit(value, path, problems) {
    if (value === undefined || value === null) {
      if (this.#fallback !== undefined) return this.#fallback;
      if (!this.#optional) problems.push({ path, message: 'is required' });
      return undefined;
    }
    for (const rule of this.#rules) {
      const message = rule(value);
      if (message) { problems.push({ path, message, value }); return undefined; }
    }
    return this.inner(value, path, problems);
  }
  inner(value) { return value; }

  check(value) {
    const problems = [];
    const clean = this.visit(value, '', problems);
    if (problems.length > 0) throw new ValidationError(problems);
    return clean;
  }
}

class StringSchema extends Schema {
  #lower = false;
  constructor() { super(); this.rule((v) => typeof v === 'string', 'must be text'); }
  matches(regex, message) { return this.rule((v) => regex.test(v), message); }
  between(least, most) { return this.rule((v) => v.length >= least && v.length <= most, `must have ${least} to ${most} characters`); }
  lower() { this.#lower = true; return this; }
  inner(value) { return this.#lower ? value.toLowerCase() : value; }
}
class NumberSchema extends Schema {
  constructor() { super(); this.rule(Number.isFinite, 'must be a number'); }
  integer() { return this.rule(Number.isInteger, 'must be whole'); }
  between(least, most) { return this.rule((v) => v >= least && v <= most, `must be from ${least} to ${most}`); }
}
class ArraySchema extends Schema {
  constructor(item) { super(); this.item = item; this.rule(Array.isArray, 'must be a list'); }
  inner(value, path, problems) { return value.map((v, i) => this.item.visit(v, `${path}[${i}]`, problems)); }
}
class ObjectSchema extends Schema {
  static #known(fields) { return new Set(Object.keys(fields)); }
  constructor(fields) { super(); this.fields = fields; this.rule((v) => Object.prototype.toString.call(v) === '[object Object]', 'must be an object'); }
  inner(value, path, problems) {
    const at = (key) => (path ? `${path}.${key}` : key);
    const known = ObjectSchema.#known(this.fields);
    for (const key of Object.keys(value)) if (!known.has(key)) problems.push({ path: at(key), message: 'is not known' });
    return Object.fromEntries(Object.entries(this.fields)
      .map(([key, field]) => [key, field.visit(value[key], at(key), problems)])
      .filter(([, v]) => v !== undefined));
  }
}

module.exports = {
  ValidationError,
  string: () => new StringSchema(),
  number: () => new NumberSchema(),
  array: (item) => new ArraySchema(item),
  object: (fields) => new ObjectSchema(fields),
  oneOf: (...choices) => new Schema().rule((v) => choices.includes(v), `must be one of ${choices.join(', ')}`),
};
