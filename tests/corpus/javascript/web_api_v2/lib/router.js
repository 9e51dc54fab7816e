'use strict';

class HttpError extends Error {
  constructor(statusCode, message) {
    super(message);
    this.statusCode = statusCode;
  }
}

function compile(pattern) {
  const names = [];
  const source = pattern.replace(/\{(\w+)\}/g, (_, name) => {
    names.push(name);
    return '([^/]+)';
  });
  return { regex: new RegExp(`^${source}/?$`), names };
}

class Router {
  routes = [];

  add(method, pattern, handler) {
    this.routes.push({ method, ...compile(pattern), handler });
    return this;
  }

  dispatch(event) {
    const { method, path } = event.requestContext.http;
    let pathMatched = false;
    for (const route of this.routes) {
      const match = route.regex.exec(path);
      if (!match) continue;
      pathMatched = true;
      if (route.method !== method) continue;
      const params = Object.fromEntries(route.names.map((name, i) => [name, decodeURIComponent(match[i + 1])]));
      return route.handler({ params, query: event.queryStringParameters ?? {}, body: parseBody(event), event });
    }
    throw pathMatched ? new HttpError(405, `${method} not allowed`) : new HttpError(404, `no route for ${path}`);
  }
}

for (const method of ['GET', 'POST', 'PUT', 'DELETE']) {
  Router.prototype[method.toLowerCase()] = function (pattern, handler) {
    return this.add(method, pattern, handler);
  };
}

function parseBody(event) {
  if (!event.body) return undefined;
  const text = event.isBase64Encoded ? Buffer.from(event.body, 'base64').toString('utf8') : event.body;
  const type = event.headers?.['content-type'] ?? '';
  if (type.includes('application/x-www-form-urlencoded')) {
    return Object.fromEntries(new URLSearchParams(text));
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new HttpError(400, 'body is not JSON');
  }
}

module.exports = { Router, HttpError };
