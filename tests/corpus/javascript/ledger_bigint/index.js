const WEI = 10n ** 18n;

function parse(amount) {
  const [, sign, whole, fraction = ''] = /^([-+]?)(\d+)(?:\.(\d{1,18}))?$/.exec(amount) ?? (() => { throw new SyntaxError(`not an amount: ${amount}`); })();
  const value = BigInt(whole) * WEI + BigInt(fraction.padEnd(18, '0'));
  return sign === '-' ? -value : value;
}

function format(value) {
  const abs = value < 0n ? -value : value;
  const fraction = (abs % WEI).toString().padStart(18, '0').replace(/0+$/, '');
  return `${value < 0n ? '-' : ''}${abs / WEI}${fraction && '.' + fraction}`;
}

exports.handler = async ({ transfers = [], raw, mix }) => {
  const balances = {};
  for (const { from, to, amount } of transfers) {
    const value = parse(amount);
    balances[from] = (balances[from] ?? 0n) - value;
    balances[to] = (balances[to] ?? 0n) + value;
    if (from !== 'mint' && balances[from] < 0n) throw new RangeError(`${from} would have ${format(balances[from])}`);
  }
  if (mix) return 1n + mix;
  if (raw) return { balances };
  return {
    balances: Object.fromEntries(Object.entries(balances).map(([k, v]) => [k, format(v)])),
    sum: format(Object.values(balances).reduce((a, b) => a + b, 0n)),
    bits: [BigInt.asUintN(64, -1n).toString(16), BigInt.asIntN(8, 255n).toString(), (2n ** 200n).toString(36), typeof 1n, 5n == 5, 2n > 1, (-7n / 2n).toString(), (-7n % 2n).toString(), BigInt('0xff').toString(2)],
    factorial: Array.from({ length: 30 }, (_, i) => BigInt(i + 1)).reduce((a, b) => a * b).toString(),
  };
};
