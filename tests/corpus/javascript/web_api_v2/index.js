'use strict';

const { Router } = require('./lib/router');
const store = require('./lib/store');

const json = (statusCode, body, headers = {}) => ({
  statusCode,
  headers: { 'content-type': 'application/json', ...headers },
  body: JSON.stringify(body),
});

const router = new Router();

router.get('/todos', ({ query }) => {
  const { status, limit = '10' } = query;
  const items = store.list({ status }).slice(0, Number(limit));
  return json(200, { items, count: items.length });
});

router.get('/todos/{id}', ({ params }) => {
  const todo = store.find(params.id);
  return todo ? json(200, todo) : json(404, { message: `todo ${params.id} not found` });
});

router.post('/todos', ({ body }) => {
  if (!body?.title?.trim()) {
    return json(422, { message: 'title is required', received: body ?? null });
  }
  const todo = store.add(body);
  return json(201, todo, { location: `/todos/${todo.id}` });
});

router.put('/todos/{id}', ({ params, body }) => {
  const { id: _ignored, ...changes } = body;
  return json(200, store.update(params.id, changes));
});

router.delete('/todos/{id}', ({ params }) => (store.remove(params.id) ? { statusCode: 204 } : json(404, { message: 'gone' })));

exports.handler = async (event) => {
  try {
    return await router.dispatch(event);
  } catch (err) {
    if (err.statusCode) {
      return json(err.statusCode, { message: err.message });
    }
    throw err;
  }
};
