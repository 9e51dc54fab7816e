const assert = require('assert');
const { strictEqual, deepStrictEqual, AssertionError } = require('node:assert/strict');

const checks = {
  passes() {
    assert(1);
    assert.ok('text');
    assert.equal(1, '1');
    strictEqual(NaN, NaN);
    deepStrictEqual({ a: [1, new Map([[1, { b: 2 }]])] }, { a: [1, new Map([[1, { b: 2 }]])] });
    assert.notStrictEqual(1, '1');
    assert.throws(() => JSON.parse('{'), SyntaxError);
    assert.throws(() => { throw new Error('wrong value'); }, /^Error: wrong value$/);
    assert.throws(() => { throw Object.assign(new TypeError('x'), { code: 'E' }); }, { name: 'TypeError', code: 'E' });
    assert.doesNotThrow(() => {});
    assert.match('abc', /b/);
    assert.deepEqual([1, '2'], [1, 2]);
    return 'all pass';
  },
  async rejects() {
    await assert.rejects(Promise.reject(new RangeError('far')), RangeError);
    await assert.rejects(async () => { throw new Error('x'); }, { message: 'x' });
    return 'rejected';
  },
  message: () => assert.ok(false, 'a message of its own'),
  strict: () => strictEqual(1, 2),
  'an error for a message': () => assert.equal(1, 2, new RangeError('mine')),
  fail: () => assert.fail('told to fail'),
  ifError: () => assert.ifError(null),
  'does not throw': () => assert.throws(() => {}, 'nothing was thrown'),
  caught() {
    try { assert.strictEqual(2 + 2, 5); } catch (e) { return [e.name, e.code, e.actual, e.expected, e.operator, e.generatedMessage, e instanceof AssertionError, e instanceof Error]; }
  },
};

exports.handler = async ({ check }) => checks[check]();
