const { URL, URLSearchParams } = require('url');
const querystring = require('querystring');
const path = require('node:path');

const actions = {
  parse({ url, base }) {
    const u = new URL(url, base);
    const { href, origin, protocol, username, password, host, hostname, port, pathname, search, hash } = u;
    return { href, origin, protocol, username, password, host, hostname, port, pathname, search, hash, params: [...u.searchParams] };
  },
  track({ url, campaign }) {
    const u = new URL(url);
    u.searchParams.delete('fbclid');
    for (const [key, value] of Object.entries(campaign)) u.searchParams.set(`utm_${key}`, value);
    u.searchParams.append('utm_tag', 'a&b=c d');
    u.searchParams.sort();
    u.hash = '#top';
    u.port = '8443';
    return { url: u.toString(), size: u.searchParams.size, has: u.searchParams.has('utm_source'), json: JSON.stringify({ u }) };
  },
  query({ text }) {
    const parsed = querystring.parse(text);
    return {
      parsed: { ...parsed },
      again: querystring.stringify(parsed),
      custom: querystring.stringify({ a: [1, true, null], b: 'ü ñ', c: undefined, d: Infinity }, ';', ':'),
      escaped: [querystring.escape('a b/ü*'), querystring.unescape('%zz%41')],
      search: new URLSearchParams(text).toString(),
      entries: Array.from(new URLSearchParams({ q: 'x y', z: '€' }).entries()),
    };
  },
  paths({ from, to }) {
    return {
      join: path.join(from, to, '..', './x'), resolve: path.resolve('/var', from, to), relative: path.relative(from, to),
      normal: path.normalize(`${from}//..//${to}/.`), parsed: path.parse(to), formatted: path.format({ dir: from, name: 'f', ext: '.js' }),
      names: [path.basename(to), path.basename(to, path.extname(to)), path.dirname(to), path.extname('.bashrc'), path.isAbsolute(from), path.sep, path.delimiter],
    };
  },
  windows({ parts }) {
    return path.win32.join(...parts);
  },
  encode({ text }) {
    return [encodeURIComponent(text), encodeURI(text), escape(text), btoa(unescape(encodeURIComponent(text))), decodeURIComponent(encodeURIComponent(text)) === text];
  },
};

exports.handler = async ({ action, ...rest }) => actions[action](rest);
