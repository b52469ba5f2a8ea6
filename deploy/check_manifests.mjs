// check_manifests.mjs FILE...: checks Kubernetes manifests against the types of the npm package
// kubernetes-models, or for those of KServe against kserve/types.ts, unknown fields included, without
// a cluster. Run it where that package, typescript and yaml are installed.
import { execFileSync } from "node:child_process";
import { copyFileSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";

const require = createRequire(`${process.cwd()}/`);
const yaml = require("yaml");

copyFileSync(new URL("kserve/types.ts", import.meta.url), "kserve_types.ts");
const moduleOf = ({ apiVersion, kind }) =>
  apiVersion.startsWith("serving.kserve.io/")
    ? "./kserve_types"
    : `kubernetes-models/${apiVersion}/${kind}`;

let count = 0;
const lines = [];
for (const file of process.argv.slice(2)) {
  for (const document of yaml.parseAllDocuments(readFileSync(file, "utf8"))) {
    const manifest = document.toJS();
    lines.push(`// ${file}: ${manifest.kind} ${manifest.metadata.name}`);
    lines.push(
      `import type { I${manifest.kind} as Kind${count} } from "${moduleOf(manifest)}";`,
    );
    lines.push(`const manifest${count}: Kind${count} = ${JSON.stringify(manifest, null, 1)};`);
    lines.push(`void manifest${count++};`);
  }
}
writeFileSync("manifests.ts", lines.join("\n"));
execFileSync("node_modules/.bin/tsc", ["--strict", "--noEmit", "--skipLibCheck", "manifests.ts"], {
  stdio: "inherit",
});
console.log(`${count} manifests have only fields that exist, of the right types`);
