export const run = async (amount) => amount * 2;
