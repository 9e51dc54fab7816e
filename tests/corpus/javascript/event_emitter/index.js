const EventEmitter = require('events');
const { once } = EventEmitter;

class Pipeline extends EventEmitter {
  constructor(stages) {
    super();
    this.stages = stages;
    this.setMaxListeners(3);
  }
  run(input) {
    this.emit('start', input);
    let value = input;
    for (const [name, stage] of Object.entries(this.stages)) {
      try {
        value = stage(value);
        this.emit('stage', name, value);
      } catch (error) {
        this.emit('error', Object.assign(error, { stage: name }));
        return;
      }
    }
    setImmediate(() => this.emit('end', value));
  }
}

exports.handler = async ({ words, listen = true, wrong = false }) => {
  const trail = [];
  const pipeline = new Pipeline({
    upper: (list) => list.map((w) => w.toUpperCase()),
    lengths: (list) => list.map((w) => w.length),
    sum: (list) => list.reduce((a, b) => a + b),
  });
  const note = (...args) => trail.push(args);
  pipeline.on('stage', note);
  pipeline.prependListener('stage', (name) => trail.push(`before ${name}`));
  pipeline.once('stage', () => trail.push('only once'));
  pipeline.on('start', function () { trail.push(this === pipeline); });
  if (listen) pipeline.on('error', (error) => trail.push(`${error.stage}: ${error.name}`));
  const end = once(pipeline, 'end');
  if (wrong) end.catch(() => {});
  pipeline.run(words);
  if (wrong) return trail;
  const [value] = await end;
  pipeline.off('stage', note);
  return {
    value, trail,
    names: pipeline.eventNames(),
    counts: [pipeline.listenerCount('stage'), pipeline.listeners('start').length, pipeline.emit('nobody')],
    max: pipeline.getMaxListeners(),
  };
};
