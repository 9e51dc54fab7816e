const EMOJI = { ALARM: '🔴', OK: '🟢', INSUFFICIENT_DATA: '⚪' };
const plural = (n, word) => `${n} ${word}${n === 1 ? '' : 's'}`;
const dedent = (strings, ...values) =>
  String.raw({ raw: strings }, ...values).split('\n').map((line) => line.trim()).filter(Boolean).join('\n');

function duration(from, to) {
  let seconds = Math.floor((Date.parse(to) - Date.parse(from)) / 1000);
  const parts = [];
  for (const [unit, size] of [['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]]) {
    const n = Math.floor(seconds / size);
    seconds %= size;
    if (n) parts.push(plural(n, unit));
  }
  return parts.slice(0, 2).join(' ') || 'moments';
}

const truncate = (text, length) => ([...text].length <= length ? text : [...text].slice(0, length - 1).join('') + '…');

export const handler = async ({ Records }) => ({
  attachments: Records.map(({ Sns }) => {
    const { AlarmName, NewStateValue, OldStateValue, NewStateReason, StateChangeTime, Previous, Trigger: { MetricName, Threshold, Dimensions = [] } = {} } = JSON.parse(Sns.Message);
    const [, value] = NewStateReason.match(/\[([\d.]+(?:e[+-]?\d+)?) \(/i) ?? [];
    const colour = `#${(NewStateValue === 'ALARM' ? 0xd0021b : 0x36a64f).toString(16).padStart(6, '0')}`;
    return {
      colour,
      title: `${EMOJI[NewStateValue] ?? '❓'} ${AlarmName}`.padEnd(24, '.'),
      text: dedent`
        ${MetricName} is ${value === undefined ? 'unknown' : Number(value).toPrecision(4)} (threshold ${Threshold?.toFixed(1)})
        ${OldStateValue} for ${Previous ? duration(Previous, StateChangeTime) : 'an unknown time'}
        ${Dimensions.map(({ name, value: v }) => `${name}=${v}`).join(', ')}
        ${truncate(NewStateReason, 32)}`,
      codes: [...AlarmName].slice(0, 3).map((c) => c.codePointAt(0).toString(16)), length: [AlarmName.length, [...AlarmName].length],
    };
  }),
});
