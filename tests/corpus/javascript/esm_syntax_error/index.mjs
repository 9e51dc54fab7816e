export const handler = async () => {
  return 'unclosed;
};
