const { default: onion } = require('@acme/onion');

const HttpError = class extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
    this.expose = status < 500;
  }
};

const jsonBody = () => async (request, next) => {
  if (/json/.test(request.event.headers?.['content-type'])) {
    try {
      request.event.body = JSON.parse(request.event.body);
    } catch {
      throw new HttpError(400, 'invalid JSON');
    }
  }
  await next();
};

const errors = () => async (request, next) => {
  try {
    await next();
  } catch (error) {
    if (!error.expose) throw error;
    request.response = { statusCode: error.status, body: error.message };
  }
};

const timing = (trail) => async (request, next) => {
  trail.push('in');
  await next();
  trail.push('out');
  request.response.headers = { 'x-trail': trail.join(','), 'x-budget': request.budget, ...request.response.headers };
};

const base = async (event) => {
  if (event.boom) throw new HttpError(503, 'database is down');
  if (!event.body?.user) throw new HttpError(403, 'who are you?');
  return { statusCode: 200, body: `hello ${event.body.user}` };
};

exports.handler = (event, context) => onion(base).use(errors()).use(timing([])).use(jsonBody())(event, context);
