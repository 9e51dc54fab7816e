// counter: adds `by` to the counter `name` and answers its new value. Others may write it, too: the value goes back only if
// nobody did since it was read, or else it is read again.
import { Conflict, kv } from "isolet";

const ATTEMPTS = 16;
const NAME_CHARS_MAX = 64;

const counters = kv("counters");

const failure = (name, message) => Object.assign(new Error(message), { name });

export const handler = async ({ name, by = 1 }) => {
  if (typeof name !== "string" || name.length < 1 || name.length > NAME_CHARS_MAX) {
    throw failure("InvalidEvent", `\`name\` must be a string of 1 to ${NAME_CHARS_MAX} characters`);
  }
  if (!Number.isInteger(by)) {
    throw failure("InvalidEvent", "`by` must be an integer");
  }
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    try {
      return { name, value: await add(name, by) };
    } catch (error) {
      if (!(error instanceof Conflict)) throw error;
    }
  }
  throw failure("Contended", `${name}: ${ATTEMPTS} attempts, and another writer was first each time`);
};

// The new value. Conflict: another writer was first.
async function add(name, by) {
  const entry = await counters.getVersion(name);
  const text = entry ? entry.value.toString() : "0";
  if (!/^-?\d+$/.test(text)) throw failure("NotACounter", `${name} holds no number`);
  const value = Number(text) + by;
  await counters.put(name, String(value), { ifVersion: entry ? entry.version : 0 });
  return value;
}
