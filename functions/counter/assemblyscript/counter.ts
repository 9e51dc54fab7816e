// counter: adds `by` to the counter `name` and answers its new value. Others may write it, too: the value goes back only if
// nobody did since it was read, or else it is read again.
import { Type, Value, fail, failWith, handle, kv } from "isolet";

const ATTEMPTS = 16;
const NAME_CHARS_MAX = 64;
const counters = kv("counters");

/** Whether a text is a whole decimal number. */
function isNumber(text: string): bool {
  const start = text.startsWith("-") ? 1 : 0;
  for (let i = start; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c < 0x30 || c > 0x39) return false;
  }
  return text.length > start && text.length < 20;
}

handle((event, context) => {
  const name = event.get("name").asString();
  if (!name.length || name.length > NAME_CHARS_MAX) {
    fail("InvalidEvent", "`name` must be a string of 1 to 64 characters");
  }
  const by = event.get("by");
  if (!by.isAbsent && !by.isInteger) fail("InvalidEvent", "`by` must be an integer");

  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const entry = counters.get(name).value;
    if (entry.found && !isNumber(entry.text)) fail("NotACounter", name + " holds no number");
    const value = (entry.found ? I64.parseInt(entry.text) : 0) + by.asInt(1);
    const written = counters.putText(name, value.toString(), entry.version);
    if (written.failed(Type.Conflict)) continue;
    if (!written.ok) failWith(written.failure!);
    return Value.map().set("name", name).set("value", value);
  }
  fail("Contended", `${name}: ${ATTEMPTS} attempts, and another writer was first each time`);
  return Value.nil();
});
