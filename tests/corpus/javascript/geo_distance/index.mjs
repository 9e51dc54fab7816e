import places from './places.mjs';

const rad = (deg) => (deg * Math.PI) / 180;
export const distance = ([lat1, lon1], [lat2, lon2]) => {
  const h = Math.sin(rad(lat2 - lat1) / 2) ** 2 + Math.cos(rad(lat1)) * Math.cos(rad(lat2)) * Math.sin(rad(lon2 - lon1) / 2) ** 2;
  return 2 * 6371.0088 * Math.asin(Math.sqrt(h));
};

export const handler = async ({ near, within = 500, unit = 'km' }) => {
  const factor = { km: 1, mi: 0.621371, nmi: 0.539957 }[unit] ?? (() => { throw new RangeError(`unknown unit: ${unit}`); })();
  const { [near]: centre } = places;
  if (!centre) return { statusCode: 404, body: `no place ${near}; known are ${Object.keys(places).slice(0, 2).join(', ')}…` };
  const found = Object.entries(places)
    .filter(([name]) => name !== near)
    .map(([name, at]) => ({ name, distance: Math.round(distance(centre, at) * factor * 10) / 10 }))
    .filter(({ distance }) => distance <= within)
    .sort((a, b) => a.distance - b.distance);
  return { near, found };
};
