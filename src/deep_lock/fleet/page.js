
// Invariant: text of repositories and locks becomes text nodes and nothing else.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { projects, releases, backends, conflicts } = data;
  const PAGE = 100; // rows that are drawn at a time
  const SOME = 6; // matches of one project that are shown at first
  const FILES = 3; // files with more than one sha256 that are shown at first
  const SHORTEST = 8; // digits of a sha256
  const NAMES = {
    alarm: "another sha256", dangerous: "dangerous changes", vulnerable: "vulnerable", failed: "failed", stale: "stale",
    unread: "lock not readable", changed: "new lock", "up-to-date": "up to date",
  };
  const BAD = new Set(["alarm", "dangerous", "vulnerable"]);
  const { byId, facts, make, slash } = shared;
  const counted = (count, noun) => `${count.toLocaleString("en")} ${noun}${count === 1 ? "" : "s"}`;

  const nameOf = (own) => (own.project === "" || own.project === "." ? own.repository : `${own.repository}: ${own.project}`);
  const titleOf = ([name, version]) => `${name} ${version}`;

  const replaced = new Map(projects.map((own) => [own, []])); // the files whose sha256 is not the usual one
  for (const own of conflicts) for (const each of own.variants) if (!each.usual) for (const at of each.projects) replaced.get(projects[at]).push(own.file);

  // -- search: each word must match a project, or something that its lock has

  const texts = projects.map((own) => [
    own.repository, own.project, own.url, own.commit_id, own.message, own.code, own.fault, ...own.targets,
    ...own.findings.flatMap((each) => [each.id, ...each.aliases]),
  ].join("\n").toLowerCase());
  const names = releases.map((own) => `${own[0]} ${own[1]}\n${own[0]}==${own[1]}`.toLowerCase());
  const publishers = releases.map((own) => own[3].join("\n").toLowerCase());

  // Returns by project why it matches a word: texts, none where the project itself matches.
  function matches(word, where) {
    const found = new Map();
    const add = (at, text) => {
      if (!found.has(at)) found.set(at, []);
      if (text) found.get(at).push(text);
    };
    const digest = word.replace(/^sha256:/, "");
    const isDigest = digest.length >= SHORTEST && /^[0-9a-f]+$/.test(digest);
    const addRelease = (own, reason) => {
      if (where !== "build") for (const at of own[4]) add(at, `${titleOf(own)}${reason}, at run time`);
      if (where !== "runtime") for (const at of own[5]) add(at, `${titleOf(own)}${reason}, in builds`);
    };
    if (!where) texts.forEach((text, at) => { if (text.includes(word)) add(at, ""); });
    releases.forEach((own, place) => {
      if (names[place].includes(word)) addRelease(own, "");
      else if (publishers[place].includes(word)) addRelease(own, ` by ${own[3].join("; ")}`);
      else if (own[2].length) {
        const file = own[2].find(([name, sha256]) => (isDigest ? sha256.startsWith(digest) : name.toLowerCase().includes(word)));
        if (file) addRelease(own, ` (${file[0]}, sha256 ${file[1]})`);
      }
    });
    if (where !== "runtime") for (const [name, list] of backends) if (name.toLowerCase().includes(word)) for (const at of list) add(at, `the backend ${name}`);
    return found;
  }

  // -- rows

  let kind = "";
  let chosen = [];
  let reasons = new Map();
  let drawn = 0;

  function state(own) {
    return make("div", { class: "state" }, own.kinds.map((each) => make("span", { class: each }, NAMES[each])));
  }

  function row(at) {
    const own = projects[at];
    const found = reasons.get(at) || [];
    const button = make("button", { type: "button", class: "link", "aria-expanded": "false" }, nameOf(own));
    const line = make("tr", {},
      make("th", { scope: "row" }, button,
        found.slice(0, SOME).map((text) => make("div", { class: "found" }, text)),
        found.length > SOME ? make("div", { class: "found" }, `and ${found.length - SOME} more`) : null),
      make("td", {}, state(own)), make("td", {}, own.message || own.fault || summary(own)),
      make("td", { class: "number", "data-unit": own.packages === 1 ? "package" : "packages" }, own.packages.toLocaleString("en")),
      make("td", { class: "number", "data-unit": own.builds === 1 ? "build" : "builds" }, own.builds.toLocaleString("en")));
    button.addEventListener("click", () => {
      const isOpen = button.getAttribute("aria-expanded") === "true";
      button.setAttribute("aria-expanded", String(!isOpen));
      if (isOpen) line.nextElementSibling.remove();
      else line.after(make("tr", { class: "opened" }, make("td", { colspan: 5 }, details(own, found))));
    });
    return line;
  }

  function summary(own) {
    const files = replaced.get(own);
    const parts = files.length ? [files.length === 1 ? files[0] : `${files[0]} and ${counted(files.length - 1, "more file")}`] : [];
    if (own.dangerous) parts.push(`${counted(own.dangerous, "change")} to review first`);
    if (own.findings.length) parts.push(own.findings.slice(0, 3).map((each) => `${each.id} in ${each.name} ${each.version}`).join(", "));
    else if (own.changes.length) parts.push(counted(own.changes.length + own["hidden-changes"], "change"));
    return parts.join("; ");
  }

  function details(own, found) {
    const parts = [facts([
      ["repository", own.url], ["commit", make("code", {}, own.commit_id)], ["lock", own.lock_path], ["targets", own.targets.join(", ")],
      ["exit code", own.exit_code ? `${own.exit_code}${own.code ? ` (${own.code})` : ""}` : ""], ["message", own.message], ["remedy", own.hint],
      ["lock not readable", own.fault], ["finished", timeOf(own.finished)],
    ])];
    const list = (title, items) => { if (items.length) parts.push(make("h3", {}, title), make("ul", {}, items)); };
    list("Matches", found.map((text) => make("li", {}, text)));
    list("Files with another sha256 than in other projects", replaced.get(own).map((file) => make("li", { class: "danger" }, file)));
    list("Advisories", own.findings.map((each) => make("li", {},
      make("span", { class: each.malware ? "danger" : "" }, `${each.id} (${each.malware ? "malware" : each.severity}) in ${each.name} ${each.version}`), `: ${each.summary}`,
      each["fixed-in"].length ? ` Fixed in ${each["fixed-in"].join(", ")}.` : " No version with a fix is known.",
      each.chains.map((chain) => make("div", { class: "quiet" }, chain.join(" > "))))));
    list("Changes", [...own.changes.map((each) => make("li", { class: each.weight === "danger" ? "danger" : "" }, `${each.name ? `${each.name}: ` : ""}${each.message}`)),
      ...(own["hidden-changes"] ? [make("li", { class: "quiet" }, `and ${own["hidden-changes"]} more`)] : [])]);
    list("Warnings", own.warnings.map((text) => make("li", {}, text)));
    return parts;
  }

  function drawMore(count) {
    const first = chosen.slice(drawn, drawn + count).map(row);
    byId("rows").append(...first);
    drawn += first.length;
    const left = chosen.length - drawn;
    byId("more").hidden = !left;
    byId("more").textContent = `Show ${counted(Math.min(left, 10 * PAGE), "more project")} of ${left.toLocaleString("en")}`;
    return first;
  }

  function update() {
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const where = byId("where").value;
    const every = words.map((word) => matches(word, where));
    reasons = new Map();
    for (const found of every) for (const [at, list] of found) reasons.set(at, [...new Set([...(reasons.get(at) || []), ...list])]);
    chosen = [...projects.keys()].filter((at) => (!kind || projects[at].kinds.includes(kind)) && every.every((found) => found.has(at)));
    byId("rows").replaceChildren();
    drawn = 0;
    drawMore(PAGE);
    byId("nothing").hidden = chosen.length > 0;
    byId("shown").textContent = chosen.length === projects.length ? counted(projects.length, "project") : `${chosen.length.toLocaleString("en")} of ${counted(projects.length, "project")}`;
    for (const button of byId("kinds").children) button.setAttribute("aria-pressed", String(button.dataset.kind === kind));
  }

  // -- the head

  const timeOf = (text) => (text ? text.replace("T", " ").replace(/\.\d+/, "").replace("+00:00", " UTC") : "");

  function conflict(own) {
    return make("div", {}, make("code", {}, own.file), make("ul", {}, own.variants.map((each) => make("li", { class: each.usual ? "" : "danger" },
      make("code", { class: "hash" }, each.sha256), each.usual ? ", usual" : "", `: ${each.projects.slice(0, SOME).map((at) => nameOf(projects[at])).join(", ")}${each.projects.length > SOME ? ` and ${each.projects.length - SOME} more` : ""}`,
      each.indexes.length ? ` (${each.indexes.join(", ")})` : ""))));
  }

  byId("about").textContent = `${data.repositories.toLocaleString("en")} ${data.repositories === 1 ? "repository" : "repositories"}, ${counted(projects.length, "project")}, ${counted(releases.length, "release")}.${data.finished ? ` The newest result is of ${timeOf(data.finished)}.` : ""}${data["has-files"] ? "" : " There are too many files to search here by their sha256: deep-lock fleet ask has-file finds them."}`;
  byId("kinds").append(...data.kinds.map((own) => {
    const count = projects.filter((each) => each.kinds.includes(own)).length;
    return make("button", { type: "button", class: count && BAD.has(own) ? "bad" : "", "data-kind": own, "aria-pressed": "false", disabled: !count, onclick: () => { kind = kind === own ? "" : own; update(); } },
      make("span", { class: "count" }, count.toLocaleString("en")), make("span", { class: "name" }, NAMES[own]));
  }));
  byId("conflicts").hidden = !conflicts.length;
  const [first, rest] = [conflicts.slice(0, FILES), conflicts.slice(FILES)].map((list) => list.map(conflict));
  byId("conflicts-body").append(...first, ...(rest.length ? [make("details", {}, make("summary", {}, `${counted(rest.length, "more file")}`), rest)] : []));
  let timer = 0;
  byId("search").addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(update, 120); });
  byId("where").addEventListener("change", update);
  byId("clear").addEventListener("click", () => { byId("search").value = ""; byId("where").value = ""; kind = ""; update(); byId("search").focus(); });
  byId("more").addEventListener("click", () => { const first = drawMore(10 * PAGE); if (first.length) first[0].querySelector("button").focus(); });
  slash(byId("search"));
  update();
})();
