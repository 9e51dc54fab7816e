// One call in a process of its own: body on standard input, answer on standard output.
import { readFileSync } from "node:fs";
import { prepare, work } from "./work.mjs";

prepare();
process.stdout.write(work(readFileSync(0, "utf8")));
