import { nothing } from './convert.mjs';
export const run = () => nothing;
