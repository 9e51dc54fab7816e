// The body comes back.
export const prepare = () => {};
export const work = (body) => body;
