module.exports = function () {
  const parts = [1, 2;
  return parts;
};
