const fs = require('fs');
const os = require('os');
const path = require('path');
const { readFile, writeFile, mkdir, rm, stat, readdir } = require('fs/promises');

const work = path.join(os.tmpdir(), 'reports');

exports.handler = async ({ files = {}, read, write }) => {
  await mkdir(path.join(work, 'deep', 'er'), { recursive: true });
  for (const [name, text] of Object.entries(files)) await writeFile(path.join(work, name), text);
  fs.appendFileSync(path.join(work, 'log.txt'), 'one\n');
  fs.appendFileSync(path.join(work, 'log.txt'), 'two\n');
  if (write) fs.writeFileSync(write, 'not allowed');
  if (read) return (await readFile(read)).toString();
  const names = (await readdir(work)).sort();
  const sizes = Object.fromEntries(await Promise.all(names.map(async (n) => [n, (await stat(path.join(work, n))).isDirectory() ? 'dir' : (await stat(path.join(work, n))).size])));
  fs.renameSync(path.join(work, 'log.txt'), path.join(work, 'deep', 'log.old'));
  const moved = fs.readFileSync(path.join(work, 'deep', 'log.old'), { encoding: 'utf8' });
  fs.unlinkSync(path.join(work, 'deep', 'log.old'));
  const before = fs.existsSync(work);
  await rm(work, { recursive: true, force: true });
  return { sizes, moved, exists: [before, fs.existsSync(work)], task: fs.readdirSync(__dirname).includes('index.js'), own: fs.statSync(__filename).isFile(), buffer: Buffer.isBuffer(fs.readFileSync(__filename)) };
};
