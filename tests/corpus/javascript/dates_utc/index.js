const DAY = 86_400_000;

const startOfDay = (date) => new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()));

function isoWeek(date) {
  const d = startOfDay(date);
  d.setUTCDate(d.getUTCDate() + 4 - (d.getUTCDay() || 7));
  const yearStart = Date.UTC(d.getUTCFullYear(), 0, 1);
  return [d.getUTCFullYear(), Math.ceil(((d - yearStart) / DAY + 1) / 7)];
}

const addMonths = (date, months) => {
  const d = new Date(date);
  const day = d.getUTCDate();
  d.setUTCMonth(d.getUTCMonth() + months, 1);
  const last = new Date(Date.UTC(d.getUTCFullYear(), d.getUTCMonth() + 1, 0)).getUTCDate();
  d.setUTCDate(Math.min(day, last));
  return d;
};

function* occurrences(start, { every, unit, count }) {
  for (let i = 0; i < count; i++) {
    yield unit === 'month' ? addMonths(start, i * every) : new Date(+start + i * every * (unit === 'week' ? 7 : 1) * DAY);
  }
}

exports.handler = async ({ date, rule, formats }) => {
  const when = new Date(date);
  const description = when.toISOString();
  const result = {
    description,
    week: isoWeek(when),
    parts: [when.getUTCHours(), when.getUTCMinutes(), when.getUTCSeconds(), when.getUTCMilliseconds(), when.getUTCDay(), when.getTimezoneOffset()],
    epoch: when.getTime() / 1000,
    text: [String(when), when.toUTCString(), when.toDateString(), when.toJSON(), `${+when}`],
    leap: new Date(Date.UTC(when.getUTCFullYear(), 1, 29)).getUTCMonth() === 1,
    equalLocal: when.getHours() === when.getUTCHours(),
  };
  if (rule) result.occurrences = [...occurrences(when, rule)].map((d) => d.toISOString().slice(0, 10));
  if (formats) result.parsed = formats.map((f) => new Date(f).getTime());
  return result;
};
