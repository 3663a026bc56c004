// Builds the page: `node build.js FOLDER` writes index.html, one script, one sheet and the notices.
import { mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const folder = resolve(process.argv[2] ?? join(here, "../bundle"));

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });

const { metafile } = await build({
  absWorkingDir: here,
  entryPoints: ["src/app.tsx"],
  outdir: folder,
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  charset: "utf8",
  jsx: "automatic",
  jsxImportSource: "preact",
  legalComments: "none",
  metafile: true,
});

const names = Object.keys(metafile.outputs).map((path) => basename(path));
const named = (suffix) => names.find((name) => name.endsWith(suffix));
const index = readFileSync(join(here, "src/index.html"), "utf8")
  .replace("app.css", named(".css"))
  .replace("app.js", named(".js"));
writeFileSync(join(folder, "index.html"), index);
writeFileSync(join(folder, "notices.txt"), notices(Object.keys(metafile.inputs)));

// What others wrote and is in the script or the sheet, with the terms under which it may be.
function notices(inputs) {
  const packages = new Set(
    inputs.map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)\//.exec(path)?.[1]).filter(Boolean),
  );
  const parts = [...packages].sort().map((name) => {
    const home = join(here, "node_modules", name);
    const { version } = JSON.parse(readFileSync(join(home, "package.json"), "utf8"));
    const license = readdirSync(home).find((file) => /^licen[cs]e/i.test(file));
    if (!license) throw new Error(`${name} has no license to give notice of`);
    return `${name} ${version}\n\n${readFileSync(join(home, license), "utf8").trim()}\n`;
  });
  return `The web page contains:\n\n${parts.join("\n---\n\n")}`;
}
