const todos = new Map(
  require('./seed.json').map((todo) => [todo.id, Object.freeze({ ...todo })]),
);
let next = todos.size + 1;

exports.list = ({ status } = {}) => [...todos.values()].filter((t) => !status || (status === 'done') === t.done);
exports.find = (id) => todos.get(id);
exports.add = ({ title, tags = [] }) => {
  const todo = { id: `t${next++}`, title: title.trim(), done: false, tags: [...new Set(tags)] };
  todos.set(todo.id, todo);
  return todo;
};
exports.update = (id, changes) => {
  const todo = todos.get(id);
  const merged = Object.assign({}, todo, changes);
  if (!todo) {
    throw Object.assign(new Error(`no todo ${id}`), { statusCode: 404 });
  }
  if (typeof merged.title !== 'string') {
    throw new TypeError(`title of ${id} must be a string, not ${typeof merged.title}`);
  }
  todos.set(id, merged);
  return merged;
};
exports.remove = (id) => todos.delete(id);
