var util = require('util');

// A store as they were before promises.
var rows = { 1: { id: 1, name: 'one' }, 2: { id: 2, name: 'two' } };
function get(id, done) {
  process.nextTick(function () {
    if (id < 0) return done(new RangeError('negative id: ' + id));
    setTimeout(function () { done(null, rows[id]); }, 1);
  });
}
function eachLimit(items, limit, worker, done) {
  var running = 0, at = 0, finished = false, results = [];
  (function more() {
    while (running < limit && at < items.length) {
      running++;
      (function (index) {
        worker(items[index], function (err, result) {
          if (finished) return;
          if (err) { finished = true; return done(err); }
          results[index] = result;
          running--;
          if (at === items.length && running === 0) { finished = true; return done(null, results); }
          more();
        });
      })(at++);
    }
    if (items.length === 0) done(null, results);
  })();
}

exports.handler = function (event, context, callback) {
  if (event.now) context.callbackWaitsForEmptyEventLoop = false;
  var later = [];
  if (event.mode === 'twice') { callback(null, 'first'); callback(null, 'second'); return; }
  if (event.mode === 'never') { setImmediate(function () { console.log('nobody calls back'); }); return; }
  if (event.mode === 'returns') { return { ignored: true }; }
  if (event.mode === 'nothing') { return callback(); }
  if (event.mode === 'waits') {
    // answered now, delivered when the loop is empty: what happens meanwhile is in it
    setTimeout(function () { later.push('timer'); setTimeout(function () { later.push('second timer'); }, 1); }, 1);
    return callback(null, later);
  }
  if (event.mode === 'plain') { return callback({ code: 42, why: 'no Error at all' }); }
  if (event.mode === 'throws later') { setTimeout(function late() { throw new TypeError('thrown in a timer'); }, 1); return; }
  if (event.mode === 'promisified') {
    return util.promisify(get)(event.id).then(function (row) { return Object.assign({}, row, { via: 'promise' }); });
  }
  eachLimit(event.ids, 2, get, function (err, found) {
    if (err) return callback(err);
    callback(null, { found: found, names: found.map(function (row) { return row ? row.name : null; }).join() });
  });
};
