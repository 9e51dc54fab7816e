import fs, { readFileSync } from 'fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';
import * as path from 'node:path';
import legacy, { VERSION } from './legacy/constants.cjs';
export { default as again } from './legacy/constants.cjs';

const require = createRequire(import.meta.url);
const here = path.dirname(fileURLToPath(import.meta.url));
const rates = await new Promise((resolve) => setTimeout(() => resolve(JSON.parse(readFileSync(path.join(here, 'rates.json'), 'utf8'))), 1));
const { default: convert, ...named } = await import('./convert.mjs');

export let calls = 0;

export const api = {
  async convert({ amount, from, to, lazy }, context) {
    calls++;
    if (lazy) {
      const module = await import(`./${lazy}.mjs`);
      return module.run(amount);
    }
    return {
      amount: convert(amount, rates[from], rates[to]), version: VERSION, name: legacy.name, named: Object.keys(named), calls,
      kinds: [typeof require, typeof module, typeof this, typeof import.meta.url, Object.prototype.toString.call(await import('./convert.mjs'))],
      json: require('./rates.json').EUR, same: fs.readFileSync === readFileSync, cjs: require('./legacy/constants.cjs') === legacy,
      remaining: context.getRemainingTimeInMillis() > 0, strict: (function () { return this; })() === undefined,
    };
  },
};
