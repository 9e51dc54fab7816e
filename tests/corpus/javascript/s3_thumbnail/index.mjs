import path from 'node:path';
import { Buffer } from 'node:buffer';
import { parseImage, UnsupportedImage } from './images.mjs';

const MAX_SIDE = Number(process.env.MAX_SIDE ?? 128);

function thumbnailKey(key) {
  const { dir, name, ext } = path.posix.parse(key);
  return path.posix.join('thumbnails', dir, `${name}@${MAX_SIDE}${ext.toLowerCase()}`);
}

function fit({ width, height }) {
  const scale = Math.min(1, MAX_SIDE / Math.max(width, height));
  return { width: Math.max(1, Math.round(width * scale)), height: Math.max(1, Math.round(height * scale)) };
}

// The bucket is played by the event: `body` is what GetObject would answer.
export const handler = async (event) => {
  const results = [];
  for (const { s3, body } of event.Records) {
    const key = decodeURIComponent(s3.object.key.replace(/\+/g, ' '));
    try {
      const image = parseImage(Buffer.from(body, 'base64'));
      results.push({ bucket: s3.bucket.name, key, ...image, thumbnail: { key: thumbnailKey(key), ...fit(image) } });
    } catch (error) {
      if (!(error instanceof UnsupportedImage)) throw error;
      results.push({ bucket: s3.bucket.name, key, skipped: error.message, magic: error.magic });
    }
  }
  return { processed: results.length, results };
};
