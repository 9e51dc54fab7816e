const required = (name) => {
  const value = process.env[name];
  if (value === undefined) throw new Error(`${name} is not set`);
  return value;
};

const config = { table: required('TABLE_NAME') };

exports.handler = async () => config;
