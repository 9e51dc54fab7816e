const { Buffer } = require('buffer');

// A tiny archive: magic, count, then (name length, name, data length, data, checksum) each.
const MAGIC = Buffer.from('PAK1', 'ascii');

function checksum(buffer) {
  let a = 1, b = 0;
  for (const byte of buffer) {
    a = (a + byte) % 65521;
    b = (b + a) % 65521;
  }
  return ((b << 16) | a) >>> 0;
}

function packAll(files) {
  const parts = [MAGIC, Buffer.alloc(2)];
  parts[1].writeUInt16BE(Object.keys(files).length);
  for (const [name, text] of Object.entries(files)) {
    const nameBytes = Buffer.from(name);
    const data = Buffer.isBuffer(text) ? text : Buffer.from(text, 'utf8');
    const head = Buffer.allocUnsafe(1 + nameBytes.length + 4);
    let at = head.writeUInt8(nameBytes.length, 0);
    at += nameBytes.copy(head, at);
    head.writeInt32LE(data.length, at);
    const tail = Buffer.alloc(12);
    tail.writeUInt32BE(checksum(data), 0);
    tail.writeDoubleLE(data.length / 3, 4);
    parts.push(head, data, tail);
  }
  return Buffer.concat(parts);
}

function unpackAll(buffer) {
  if (Buffer.compare(buffer.subarray(0, 4), MAGIC) !== 0) throw new Error(`not an archive: ${buffer.slice(0, 4).toString('hex')}`);
  const count = buffer.readUInt16BE(4);
  const files = {};
  let at = 6;
  for (let i = 0; i < count; i++) {
    const length = buffer[at++];
    const name = buffer.toString('utf8', at, at + length);
    at += length;
    const size = buffer.readInt32LE(at);
    const data = buffer.subarray(at + 4, at + 4 + size);
    at += 4 + size;
    const sum = buffer.readUInt32BE(at);
    if (sum !== checksum(data)) throw new Error(`checksum of ${name}: ${sum.toString(16)} is not ${checksum(data).toString(16)}`);
    files[name] = { bytes: data.length, third: buffer.readDoubleLE(at + 4), base64: data.toString('base64'), json: data.length < 5 ? data : undefined };
    at += 12;
  }
  return files;
}

exports.handler = async (event) => {
  if (event.httpMethod === 'GET') {
    const body = packAll({ 'a.txt': 'hello', 'ü.bin': Buffer.from([0, 255, 128, 1]), empty: '' });
    return { statusCode: 200, headers: { 'content-type': 'application/octet-stream' }, isBase64Encoded: true, body: body.toString('base64') };
  }
  const body = Buffer.from(event.body, event.isBase64Encoded ? 'base64' : 'latin1');
  if (event.path === '/inspect') {
    const view = new DataView(body.buffer, body.byteOffset, body.byteLength);
    return {
      hex: body.toString('hex'), latin1: body.toString('latin1'), utf8: body.toString(), url: body.toString('base64url'),
      index: [body.indexOf('b'), body.indexOf(Buffer.from('zz')), body.includes('c'), body.lastIndexOf(98)],
      swapped: Buffer.from(body).swap16().toString(), filled: Buffer.alloc(7, 'ab').toString(), first: view.getUint8(0),
      reversed: Buffer.from(Uint8Array.from(body).reverse()).toString(), equal: body.equals(Buffer.from(body.toString('binary'), 'binary')),
      json: JSON.stringify(body.subarray(0, 3)), f: body.readFloatBE(0), i: [body.readInt16LE(1), body.readIntBE(0, 6), Number(body.readBigUInt64LE(0))],
      made: [Buffer.from('zzff', 'hex').length, Buffer.from('aGk', 'base64').toString(), Buffer.from([256, -1, 1.9]).toJSON().data, Buffer.from(new Uint16Array([1, 256])).length, Buffer.byteLength('€')],
    };
  }
  return unpackAll(body);
};
