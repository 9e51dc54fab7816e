// node asc.mjs <assemblyscript's package> <flags of asc…>: the compiler, with our library in the place of a browser's.
//
// A library directory (--lib) replaces files of AssemblyScript's own library by their names, but asc reads its top level
// only; what is replaced lies in bindings/.

import { dirname, join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { readdirSync } from "node:fs";

const here = dirname(fileURLToPath(import.meta.url));
const library = join(here, "lib");
const [compiler, ...flags] = process.argv.slice(2);
const asc = await import(pathToFileURL(join(compiler, "dist", "asc.js")).href);

const { error, stdout, stderr } = await asc.main(
  [
    ...flags,
    join(here, "exports.ts"),
    ...["--path", here, "--lib", library],
    ...["--use", "abort=isolet_abort", "--use", "seed=isolet_seed", "--use", "trace=isolet_trace"],
  ],
  {
    listFiles(directory, base) {
      if (directory === library) return ["isolet_hooks.ts", "bindings/dom.ts"];
      try {
        return readdirSync(join(base, directory)).filter((name) => name.endsWith(".ts") && !name.endsWith(".d.ts"));
      } catch {
        return null;
      }
    },
  },
);
process.stdout.write(stdout?.toString() ?? "");
process.stderr.write(stderr?.toString() ?? "");
if (error) process.exit(1);
