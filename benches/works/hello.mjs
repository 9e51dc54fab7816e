// The smallest work there is.
export const prepare = () => {};
export const work = () => "hello\n";
