exports.handler = (event, context) => {
  switch (event.how) {
    case 'succeed': return context.succeed({ ok: 1, list: [undefined, () => 1, NaN, new Date(0)] });
    case 'fail': return context.fail(new Error('failed as told'));
    case 'fail with text': return context.fail('just text');
    case 'fail with nothing': return context.fail();
    case 'done': return context.done(null, 'done');
    case 'done with an error': return context.done(Object.assign(new Error('half done'), { name: 'Halfway' }));
    case 'later': return void setTimeout(() => context.succeed('later'), 2);
    case 'then fail': context.succeed('won'); context.fail(new Error('lost')); return;
    case 'promise and succeed': return new Promise(() => context.succeed('by context'));
    default: throw new Error(`unknown: ${event.how}`);
  }
};
