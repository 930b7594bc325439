// modules.js TREE: prints each entry and export without a wildcard of each package below TREE/nodejs/node_modules that loads,
// with require or else with import, each in a process of its own.
"use strict";
const { spawnSync } = require("child_process");
const fs = require("fs");
const path = require("path");

const top = path.join(process.argv[2], "nodejs");

function packages(modules) {
  if (!fs.existsSync(modules)) return [];
  return fs.readdirSync(modules).sort().flatMap((name) => {
    if (name.startsWith(".")) return [];
    const folder = path.join(modules, name);
    if (name.startsWith("@")) return fs.readdirSync(folder).sort().map((inner) => `${name}/${inner}`);
    return [name];
  });
}

const load = `
const name = process.argv[1];
(async () => { try { require(name); } catch { await import(require.resolve(name)); } process.exit(0); })().catch(() => process.exit(1));
`;

for (const name of packages(path.join(top, "node_modules"))) {
  let manifest;
  try {
    manifest = JSON.parse(fs.readFileSync(path.join(top, "node_modules", name, "package.json"), "utf8"));
  } catch {
    continue;
  }
  const written = manifest.exports;
  const keys = written && typeof written === "object" ? Object.keys(written) : [];
  const below = keys.filter((key) => key.startsWith("./") && !key.includes("*") && !key.endsWith("/"));
  for (const entry of ["", ...below.map((key) => key.slice(1))]) {
    const run = spawnSync(process.execPath, ["-e", load, name + entry], { cwd: top, timeout: 60000, stdio: "ignore" });
    if (run.status === 0) console.log(name + entry);
  }
}
