const fs = require('fs');
const path = require('path');

const ESCAPES = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
const escape = (value) => String(value).replace(/[&<>"']/g, (c) => ESCAPES[c]);

const cache = {};
function load(name) {
  if (!cache[name]) {
    const file = path.join(__dirname, 'templates', `${name}.html`);
    if (!fs.existsSync(file)) throw new Error(`no template ${path.relative(__dirname, file)}`);
    cache[name] = fs.readFileSync(file, 'utf8');
  }
  return cache[name];
}

const lookup = (scope, name) => {
  if (name === '.') return scope['.'];
  return name.split('.').reduce((value, key) => value?.[key], scope);
};

function render(template, scope) {
  return template
    .replace(/\{\{#([\w.]+)\}\}([\s\S]*?)\{\{\/\1\}\}/g, (_, name, inner) => {
      const value = lookup(scope, name);
      if (Array.isArray(value)) {
        return value.map((item, index) => render(inner, { ...scope, ...Object(item), '.': item, index })).join('');
      }
      return value ? render(inner, typeof value === 'object' ? { ...scope, ...value } : scope) : '';
    })
    .replace(/\{\{\^([\w.]+)\}\}([\s\S]*?)\{\{\/\1\}\}/g, (_, name, inner) => {
      const value = lookup(scope, name);
      return !value || value.length === 0 ? render(inner, scope) : '';
    })
    .replace(/\{\{>\s*(\w+)\s*\}\}/g, (_, name) => render(load(name), scope))
    .replace(/\{\{\{\s*([\w.]+)\s*\}\}\}/g, (_, name) => lookup(scope, name) ?? '')
    .replace(/\{\{\s*([\w.]+)\s*\}\}/g, (_, name) => escape(lookup(scope, name) ?? ''));
}

load('layout');

exports.handler = async ({ template, data }) => {
  const body = render(load('layout'), { ...data, content: render(load(template), data), year: new Date(Date.UTC(2024, 1, 29)).getUTCFullYear() });
  return { statusCode: 200, headers: { 'content-type': 'text/html; charset=utf-8', 'content-length': Buffer.byteLength(body) }, body };
};
