export class UnsupportedImage extends Error {
  name = 'UnsupportedImage';
  constructor(magic) {
    super(`unsupported image: ${magic}`);
    this.magic = magic;
  }
}

const PNG = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const COLOUR = { 0: 'grey', 2: 'rgb', 3: 'palette', 4: 'grey+alpha', 6: 'rgba' };

function png(data) {
  if (data.toString('latin1', 12, 16) !== 'IHDR') throw new UnsupportedImage('PNG without IHDR');
  return {
    type: 'png',
    width: data.readUInt32BE(16),
    height: data.readUInt32BE(20),
    depth: data[24],
    colour: COLOUR[data.readUInt8(25)] ?? 'unknown',
  };
}

function jpeg(data) {
  let at = 2;
  while (at < data.length) {
    if (data[at] !== 0xff) throw new UnsupportedImage(`JPEG with 0x${data[at].toString(16)} for a marker`);
    const marker = data[at + 1];
    const length = data.readUInt16BE(at + 2);
    if (marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker)) {
      return { type: 'jpeg', height: data.readUInt16BE(at + 5), width: data.readUInt16BE(at + 7), components: data[at + 9], progressive: marker === 0xc2 };
    }
    at += 2 + length;
  }
  throw new UnsupportedImage('JPEG without a frame');
}

export function parseImage(data) {
  if (data.subarray(0, 8).equals(PNG)) return png(data);
  if (data[0] === 0xff && data[1] === 0xd8) return jpeg(data);
  if (['GIF87a', 'GIF89a'].includes(data.toString('ascii', 0, 6))) {
    return { type: 'gif', width: data.readUInt16LE(6), height: data.readUInt16LE(8) };
  }
  throw new UnsupportedImage(data.subarray(0, 4).toString('hex') || 'empty');
}
