// What Renovate does for one update of a file: it edits the version, and makes the command of postUpgradeTasks.
// Argument: the folder of the package renovate. Standard input: {folder, packageFile, manager, dep, depIndex, newValue, command}.
import fs from "node:fs";
import path from "node:path";
import { pathToFileURL } from "node:url";

const dist = path.join(process.argv[2], "dist");
const load = (name) => import(pathToFileURL(path.join(dist, name)));
const { GlobalConfig } = await load("config/global.js");
const { doAutoReplace } = await load("workers/repository/update/branch/auto-replace.js");
const { compile } = await load("util/template/index.js");
const asked = JSON.parse(fs.readFileSync(0, "utf8"));
GlobalConfig.set({ localDir: asked.folder });
const upgrade = {
  ...asked.manager,
  ...asked.dep,
  manager: "jsonata",
  packageFile: asked.packageFile,
  depIndex: asked.depIndex,
  newValue: asked.newValue,
  newVersion: asked.newValue,
};
const before = fs.readFileSync(path.join(asked.folder, asked.packageFile), "utf8");
const content = await doAutoReplace(upgrade, before, false);
console.log(JSON.stringify({ content, command: compile(asked.command, upgrade) }));
