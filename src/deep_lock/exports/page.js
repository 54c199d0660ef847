
"use strict";
// Invariant: text of the lock becomes text nodes and nothing else. Drawing is linear in the packages and edges shown.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const { packages, builds, edges, steps, paths, targets } = data;
  const FEW = 60; // packages: up to here every arrow is drawn, above only those of the selected package
  const SOME = 8; // items of a long list that are shown at first
  const PROJECT = -1;
  const MARKS = { "": "○", built: "◐", "sdist-only": "●" };
  const MEANINGS = { "": "installs a wheel", built: "built on some target", "sdist-only": "no wheel at all" };
  const KINDS = { runtime: "needs at runtime", build: "needs to be built", inside: "needs in a build environment" };
  const ROLES = { runtime: "runtime", "build-only": "build-only", both: "runtime and builds" };
  const EVIDENCE = {
    static: "static: proven without running code",
    observed: "observed: the backend was run",
    assumed: "assumed: the backend was not run, and only the declared requirements are locked",
  };
  const NEEDED = {
    always: "no wheel exists", targets: "no wheel for these targets", forced: "no-binary", scope: "build scope all",
    project: "the project itself", direct: "a direct reference to a source tree",
  };
  const collator = new Intl.Collator("en", { numeric: true });
  const byId = (id) => document.getElementById(id);
  const several = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

  // -- elements

  function make(tag, properties, ...children) {
    const element = document.createElement(tag);
    for (const [name, value] of Object.entries(properties || {})) {
      if (name === "class") element.className = value;
      else if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
      else if (value !== null && value !== false) element.setAttribute(name, value === true ? "" : String(value));
    }
    element.append(...children.flat().filter((child) => child !== null && child !== undefined));
    return element;
  }

  function drawn(tag, attributes) {
    const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    return element;
  }

  function facts(rows) {
    const list = make("dl", { class: "facts" });
    for (const [name, value] of rows) {
      if (value === null || value === undefined || value === "" || (Array.isArray(value) && !value.length)) continue;
      list.append(make("dt", {}, name), make("dd", {}, value));
    }
    return list;
  }

  // A list of which only the first items are there until the button for the rest is used.
  function longList(properties, items, build) {
    const list = make("ul", properties, items.slice(0, SOME).map(build));
    if (items.length <= SOME) return [list];
    const more = make("button", { type: "button", class: "more", onclick: () => {
      const first = items.slice(SOME).map(build);
      list.append(...first);
      more.remove();
      const next = first[0].querySelector("button");
      if (next) next.focus();
    } }, `Show all ${items.length.toLocaleString("en")}`);
    return [list, more];
  }

  // -- the lock

  const title = (place) => {
    if (place === PROJECT) return data.project || "the project";
    const own = packages[place];
    return own.name + (own.version ? ` ${own.version}` : "");
  };
  const markOf = (own) => (own["sdist-only"] ? "sdist-only" : own.built.length ? "built" : "");
  const labelsOf = (list) => (list.length === targets.length && list.length > 1 ? "all targets" : list.map((at) => targets[at].name).join(", "));
  const filesOf = (own) => {
    const files = [...own.wheels];
    if (own.sdist) files.push(own.sdist);
    if (own["source-sha256"]) files.push({ name: "archive", url: own.source, path: null, sha256: own["source-sha256"], size: null, "upload-time": null, targets: [] });
    return files;
  };
  const nodes = [PROJECT, ...packages.keys()];
  const parents = new Map(nodes.map((place) => [place, []]));
  const children = new Map(nodes.map((place) => [place, []]));
  edges.forEach(([above, below], place) => {
    children.get(above).push(place);
    parents.get(below).push(place);
  });
  const pathsTo = new Map(nodes.map((place) => [place, []]));
  for (const end of paths) pathsTo.get(edges[steps[end][0]][1]).push(end);
  const recordsOf = new Map(nodes.map((place) => [place, []]));
  const usedBy = new Map(nodes.map((place) => [place, new Set()]));
  builds.forEach((build, place) => {
    recordsOf.get(build.package === null ? PROJECT : build.package).push(place);
    for (const member of [...build.packages, ...(build["declared-packages"] || [])]) {
      if (member.package !== null) usedBy.get(member.package).add(place);
    }
  });

  function chainOf(end) {
    const found = [];
    for (let at = end; at !== -1; at = steps[at][1]) found.push(edges[steps[at][0]]);
    return found.reverse();
  }

  // The number of edges between a package and the top of its layer.
  function rankOf(place) {
    const found = pathsTo.get(place);
    let rank = 0;
    for (let at = found.length ? found[0] : -1; at !== -1 && edges[steps[at][0]][2] !== "build"; at = steps[at][1]) rank += 1;
    return rank;
  }

  // -- the head

  function head() {
    byId("title").textContent = `${data.project ? `${data.project}: ` : ""}${data.lock}`;
    const about = [`For ${several(targets.length, "target", "targets")}: ${targets.map((own) => own.name).join(", ")}`];
    if (data["requires-python"]) about.push(`Python ${data["requires-python"]}`);
    if (data.extras.length) about.push(`extras ${data.extras.join(", ")}`);
    if (data["dependency-groups"].length) about.push(`groups ${data["dependency-groups"].join(", ")}`);
    byId("about").textContent = `${about.join(" · ")}.`;
    const count = (test) => packages.filter(test).length;
    const numbers = [
      ["packages", packages.length],
      ["at runtime", count((own) => own.role !== "build-only")],
      ["build-only", count((own) => own.role === "build-only")],
      ["levels of builds", builds.reduce((most, build) => Math.max(most, build.level), 0)],
      ["build records", builds.length],
      ["no wheel at all", count((own) => own["sdist-only"])],
      ["built on some", count((own) => markOf(own) === "built")],
      ["files", packages.reduce((sum, own) => sum + filesOf(own).length, 0)],
    ];
    byId("counts").append(...numbers.map(([name, value]) => make("div", {}, make("dt", {}, name), make("dd", {}, value.toLocaleString("en")))));
    byId("code-body").append(...code());
    const text = (value) => (Array.isArray(value) ? value.join(", ") : String(value));
    byId("settings-body").append(facts([
      ...Object.entries(data.indexes).map(([name, url]) => [`index ${name}`, make("code", {}, url)]),
      ...Object.entries(data.options).map(([name, value]) => [name, text(value)]),
      ...targets.map((own) => [own.name, make("code", {}, own.marker)]),
    ]));
  }

  function code() {
    const on = (key, at) => packages.filter((own) => own[key].includes(at)).length;
    const heads = ["target", "installed", "of these built there", "in build environments", "builds that run there"];
    const table = make("table", {}, make("caption", { class: "unseen" }, "What runs code on each target"),
      make("thead", {}, make("tr", {}, heads.map((text, place) => make("th", { scope: "col", class: place ? "number" : "" }, text)))),
      make("tbody", {}, targets.map((own, at) => make("tr", {}, make("th", { scope: "row" }, own.name),
        [on("targets", at), packages.filter((each) => each.targets.includes(at) && each.built.includes(at)).length,
          on("used-in-builds", at), builds.filter((build) => build.targets.includes(at)).length]
          .map((number) => make("td", { class: "number" }, number.toLocaleString("en")))))));
    const lines = [];
    const meanings = { observed: "the backend was run when the lock was made", assumed: "the backend was not run: the requirements that it adds are not locked", static: "proven from the files without running code" };
    for (const kind of ["observed", "assumed", "static"]) {
      const number = builds.filter((build) => build.evidence === kind).length;
      if (number) lines.push(`${several(number, "build record is", "build records are")} ${kind}: ${meanings[kind]}.`);
    }
    const tree = builds.filter((build) => build["backend-path"].length).length;
    if (tree) lines.push(`${several(tree, "build uses a backend", "builds use a backend")} in its own source tree.`);
    const user = builds.filter((build) => build["requires-user"].length).length;
    if (user) lines.push(`${several(user, "build has", "builds have")} requirements that the user added.`);
    const crates = builds.filter((build) => build["cargo-lock"]).length;
    if (crates) lines.push(`${several(crates, "build has a Cargo.lock of its own", "builds have a Cargo.lock of their own")}: these crates are not in this lock.`);
    lines.push(...data.findings);
    return [make("p", {}, "A wheel runs nothing while it is installed. An sdist runs its backend, and the whole build environment, wherever it is built."),
      make("div", { class: "scroll" }, table), lines.length ? make("ul", { class: "plain" }, lines.map((line) => make("li", {}, line))) : null].filter(Boolean);
  }

  // -- the layers

  const chips = new Map();
  let chosen = null;

  function layers() {
    const levels = [...new Set(packages.map((own) => own.level))].sort((one, two) => one - two);
    const few = packages.length <= FEW;
    const ranks = packages.map((_, place) => (few ? rankOf(place) : 0));
    const sorted = [...packages.keys()].sort((one, two) => ranks[one] - ranks[two] || collator.compare(packages[one].name, packages[two].name) || one - two);
    const container = byId("layers");
    container.classList.toggle("few", few);
    container.append(layer("The project", [PROJECT], "project", []));
    for (const level of levels) {
      const own = sorted.filter((place) => packages[place].level === level);
      container.append(layer(level === 0 ? "Runtime" : `Builds, level ${level}`, own, String(level), ranks));
    }
    byId("legend").append(
      ...Object.entries(MEANINGS).map(([mark, meaning]) => make("li", {}, `${MARKS[mark]} ${meaning}`)),
      ...Object.entries(KINDS).map(([kind, meaning]) => {
        const line = drawn("svg", { width: 34, height: 8, "aria-hidden": "true" });
        line.append(drawn("path", { d: "M0 4H34", class: kind }));
        return make("li", {}, line, meaning);
      }));
  }

  // Each rank begins a new line, so that arrows lead down.
  function layer(name, places, id, ranks) {
    const items = places.flatMap((place, at) => {
      const item = make("li", { role: "none" }, chip(place));
      return at && ranks[place] !== ranks[places[at - 1]] ? [make("li", { role: "none", class: "break" }), item] : [item];
    });
    const list = make("ul", { role: "toolbar", "aria-labelledby": `layer-${id}`, "aria-describedby": "graph-help" }, items);
    list.addEventListener("keydown", moved);
    if (places.length) chips.get(places[0]).tabIndex = 0;
    return make("section", { class: "layer" }, make("h2", { id: `layer-${id}` }, name, make("span", { class: "quiet count" }, id === "project" ? "" : ` · ${places.length.toLocaleString("en")}`)), list);
  }

  function chip(place) {
    const own = place === PROJECT ? null : packages[place];
    const mark = own ? markOf(own) : "";
    const label = own ? `${title(place)}, ${ROLES[own.role]}, ${MEANINGS[mark]}` : `${title(place)}, the project itself`;
    const button = make("button", { type: "button", class: `chip ${own ? mark : "project"}`, tabindex: "-1", "aria-label": label, title: label, "data-place": place, onclick: () => choose(place) },
      own ? make("span", { class: "sign", "aria-hidden": "true" }, MARKS[mark]) : null,
      own ? own.name : title(place), own && own.version ? make("small", {}, ` ${own.version}`) : null);
    chips.set(place, button);
    return button;
  }

  // Left and right go along a layer; up and down to the nearest package above and below, also of the next layer.
  function moved(event) {
    const here = event.target.closest(".chip");
    if (!here || event.ctrlKey || event.altKey || event.metaKey) return;
    const own = [...event.currentTarget.querySelectorAll(".chip")].filter((other) => !other.parentElement.hidden);
    const at = own.indexOf(here);
    const next = {
      ArrowLeft: () => own[at - 1], ArrowRight: () => own[at + 1], Home: () => own[0], End: () => own[own.length - 1],
      ArrowUp: () => nearestRow(here, -1), ArrowDown: () => nearestRow(here, 1),
    }[event.key];
    if (!next) return;
    event.preventDefault();
    const target = next();
    if (target) goTo(target);
  }

  function goTo(button) {
    for (const other of button.closest("ul").querySelectorAll('[tabindex="0"]')) other.tabIndex = -1;
    button.tabIndex = 0;
    button.focus();
  }

  function nearestRow(here, direction) {
    const from = here.getBoundingClientRect();
    let best = null;
    let least = Infinity;
    for (const other of chips.values()) {
      if (other.parentElement.hidden) continue;
      const box = other.getBoundingClientRect();
      const rows = (box.top - from.top) * direction;
      if (rows < from.height / 2) continue;
      const distance = rows * 100 + Math.abs(box.left + box.width / 2 - from.left - from.width / 2);
      if (distance < least) [best, least] = [other, distance];
    }
    return best;
  }

  // -- the arrows

  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; arrows(); });
  }

  function arrows() {
    const container = byId("arrows");
    container.replaceChildren();
    if (byId("graph").hidden) return;
    const frame = byId("layers").getBoundingClientRect();
    const ends = drawn("defs", {});
    for (const kind of ["off", "on", "built"]) {
      const tip = drawn("marker", { id: `tip-${kind}`, class: kind, viewBox: "0 0 8 8", refX: 7, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto-start-reverse" });
      tip.append(drawn("path", { d: "M0 0L8 4L0 8z" }));
      ends.append(tip);
    }
    container.append(ends);
    const boxes = new Map();
    const boxOf = (place) => {
      if (!boxes.has(place)) {
        const button = chips.get(place);
        const box = button.getBoundingClientRect();
        boxes.set(place, button.parentElement.hidden ? null : { x: box.left - frame.left, y: box.top - frame.top, w: box.width, h: box.height });
      }
      return boxes.get(place);
    };
    const near = chosen === null ? new Set() : touching(chosen);
    const some = packages.length <= FEW ? edges.keys() : near;
    const seen = new Set();
    const later = [];
    for (const place of some) {
      const [above, below, kind] = edges[place];
      const name = `${above} ${below} ${kind}`;
      const on = near.has(place);
      if (seen.has(name) || above === below || (chosen !== null && !on)) continue;
      seen.add(name);
      const from = boxOf(above);
      const to = boxOf(below);
      if (!from || !to) continue;
      const tip = !on ? "off" : kind === "runtime" ? "on" : "built";
      later.push(drawn("path", { d: curve(from, to), class: `${kind}${on ? " on" : ""}`, "marker-end": `url(#tip-${tip})` }));
    }
    container.append(...later);
  }

  function curve(from, to) {
    const down = to.y > from.y + from.h;
    const up = to.y + to.h < from.y;
    const middle = (box) => box.x + box.w / 2;
    if (down || up) {
      const y1 = down ? from.y + from.h : from.y;
      const y2 = down ? to.y : to.y + to.h;
      const bend = Math.min(60, Math.abs(y2 - y1) / 2) * (down ? 1 : -1);
      return `M${middle(from)} ${y1}C${middle(from)} ${y1 + bend} ${middle(to)} ${y2 - bend} ${middle(to)} ${y2}`;
    }
    const lift = Math.min(20, 8 + Math.abs(middle(to) - middle(from)) / 40);
    return `M${middle(from)} ${from.y}C${middle(from)} ${from.y - lift} ${middle(to)} ${to.y - lift} ${middle(to)} ${to.y}`;
  }

  // The edges of a package, and those of the shortest path to it.
  function touching(place) {
    const found = new Set([...parents.get(place), ...children.get(place)]);
    if (pathsTo.get(place).length) {
      for (let at = pathsTo.get(place)[0]; at !== -1; at = steps[at][1]) found.add(steps[at][0]);
    }
    return found;
  }

  // -- the table

  const COLUMNS = [
    ["name", (own) => own.name], ["version", (own) => own.version || ""], ["layer", (own) => own.level],
    ["role", (own) => ROLES[own.role]], ["builds", (own) => MEANINGS[markOf(own)]], ["built on", (own) => own.built.length],
    ["license", (own) => own.license || ""],
    ["sha256", (own) => (filesOf(own)[0] || { sha256: "" }).sha256],
  ];
  const rows = new Map();
  let order = { column: 0, down: false };

  function table() {
    byId("heads").append(...COLUMNS.map(([name], place) => make("th", { scope: "col", class: [2, 5].includes(place) ? "number" : "" },
      make("button", { type: "button", onclick: () => sortBy(place) }, name))));
    packages.forEach((own, place) => rows.set(place, row(own, place)));
    sorted();
  }

  function row(own, place) {
    const mark = markOf(own);
    return make("tr", {},
      make("th", { scope: "row" }, make("button", { type: "button", class: "link", onclick: () => choose(place) }, own.name)),
      make("td", {}, own.version || "–"), make("td", { class: "number" }, own.level), make("td", {}, ROLES[own.role]),
      make("td", {}, `${MARKS[mark]} ${MEANINGS[mark]}`), make("td", { class: "number" }, own.built.length),
      make("td", {}, own.license || "–"), make("td", { class: "hashes" }));
  }

  function hashes() {
    const every = byId("hashes").checked;
    for (const [place, own] of rows) {
      const cell = own.lastElementChild;
      const files = filesOf(packages[place]);
      const some = every ? files : files.slice(0, 1);
      cell.replaceChildren(make("ul", { class: "files" }, some.map((file) => make("li", {}, make("code", { class: "hash" }, file.sha256), every ? make("span", { class: "quiet" }, file.name) : null))),
        files.length > some.length ? make("span", { class: "quiet" }, `and ${several(files.length - some.length, "more file", "more files")}`) : files.length ? "" : make("span", { class: "quiet" }, packages[place].source || "no file"));
    }
  }

  function sortBy(column) {
    order = { column, down: order.column === column && !order.down };
    sorted();
  }

  function sorted() {
    const value = COLUMNS[order.column][1];
    const places = [...rows.keys()].sort((one, two) => {
      const [left, right] = [value(packages[one]), value(packages[two])];
      const found = typeof left === "number" ? left - right : collator.compare(left, right);
      return (order.down ? -found : found) || one - two;
    });
    byId("rows").append(...places.map((place) => rows.get(place)));
    [...byId("heads").children].forEach((cell, place) => {
      if (place === order.column) cell.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else cell.removeAttribute("aria-sort");
    });
  }

  // -- search and filters

  const texts = packages.map((own, place) => [own.name, title(place), own.source, own.index, ...filesOf(own).flatMap((file) => [file.name, file.sha256]),
    ...recordsOf.get(place).flatMap((at) => [builds[at].backend, builds[at].sdist])].filter(Boolean).join("\n").toLowerCase());

  function fits(place) {
    const own = packages[place];
    const [role, mark, evidence, target] = ["role", "mark", "evidence", "target"].map((id) => byId(id).value);
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.every((word) => texts[place].includes(word))) return false;
    if (role === "runtime" ? own.role === "build-only" : role === "build" ? own.role === "runtime" : role && own.role !== role) return false;
    if (mark === "code" ? !markOf(own) : mark && markOf(own) !== (mark === "wheel" ? "" : mark)) return false;
    if (evidence && !recordsOf.get(place).some((at) => builds[at].evidence === evidence)) return false;
    if (target === "") return true;
    const at = Number(target);
    if (!own.targets.includes(at) && !own["used-in-builds"].includes(at)) return false;
    return mark !== "code" || own.built.includes(at);
  }

  function filter() {
    let shown = 0;
    packages.forEach((_, place) => {
      const fit = fits(place);
      shown += fit ? 1 : 0;
      chips.get(place).parentElement.hidden = !fit;
      rows.get(place).hidden = !fit;
    });
    for (const own of document.querySelectorAll("#layers .layer")) {
      const all = [...own.querySelectorAll(".chip")];
      const left = all.filter((button) => !button.parentElement.hidden);
      own.hidden = !left.length;
      const count = own.querySelector(".count");
      if (count.textContent) count.textContent = left.length === all.length ? ` · ${all.length.toLocaleString("en")}` : ` · ${left.length.toLocaleString("en")} of ${all.length.toLocaleString("en")}`;
      if (left.length && !left.some((button) => button.tabIndex === 0)) {
        for (const button of all) button.tabIndex = -1;
        left[0].tabIndex = 0;
      }
    }
    byId("shown").textContent = shown === packages.length ? several(shown, "package", "packages") : `${shown.toLocaleString("en")} of ${several(packages.length, "package", "packages")}`;
    byId("nothing").hidden = shown > 0;
    redraw();
  }

  function clear() {
    for (const id of ["search", "role", "mark", "evidence", "target"]) byId(id).value = "";
    filter();
  }

  // -- the selected package

  let back = null;

  function choose(place) {
    if (!byId("details").contains(document.activeElement)) back = document.activeElement;
    chosen = place;
    const aside = byId("details");
    aside.replaceChildren(...details(place));
    aside.hidden = false;
    aside.scrollTop = 0;
    document.body.classList.add("split");
    mark();
    address(place === PROJECT ? "" : `#${encodeURIComponent(packages[place].id)}`);
    aside.querySelector("h2").focus({ preventScroll: true });
    reveal(place);
  }

  // With the details open the packages are at other positions.
  function reveal(place) {
    const own = byId("graph").hidden ? rows.get(place) : chips.get(place);
    if (own) own.scrollIntoView({ block: "nearest" });
  }

  function close() {
    const was = chosen;
    byId("details").hidden = true;
    document.body.classList.remove("split");
    chosen = null;
    mark();
    address("");
    (back && back.isConnected && back !== document.body ? back : chips.get(was)).focus();
  }

  // A page inside a page may be forbidden to change its address, and some browsers count how often.
  function address(fragment) {
    try {
      history.replaceState(null, "", location.pathname + location.search + fragment);
    } catch {
      // the address is a convenience
    }
  }

  function mark() {
    const near = chosen === null ? new Set() : touching(chosen);
    const nearby = new Set(chosen === null ? [] : [chosen]);
    for (const place of near) {
      nearby.add(edges[place][0]);
      nearby.add(edges[place][1]);
    }
    const onPath = new Set();
    if (chosen !== null && pathsTo.get(chosen).length) {
      onPath.add(PROJECT);
      for (const edge of chainOf(pathsTo.get(chosen)[0])) onPath.add(edge[1]);
    }
    byId("layers").classList.toggle("tied", chosen !== null);
    for (const [place, button] of chips) {
      button.classList.toggle("near", nearby.has(place));
      button.classList.toggle("path", onPath.has(place) && place !== chosen);
      button.setAttribute("aria-current", String(place === chosen));
    }
    for (const [place, own] of rows) own.setAttribute("aria-current", String(place === chosen));
    redraw();
  }

  const linkTo = (place, text) => make("button", { type: "button", class: "link", onclick: () => choose(place) }, text || title(place));

  function details(place) {
    const own = place === PROJECT ? null : packages[place];
    const closing = make("button", { type: "button", class: "close", onclick: close, "aria-label": "Close (Escape)" }, "×");
    const name = make("h2", { tabindex: "-1" }, title(place));
    const records = recordsOf.get(place);
    const parts = [closing, name];
    if (own) parts.push(badges(own), ...why(place), ...where(own), ...brings(own), ...files(own));
    else parts.push(make("p", { class: "quiet" }, "The project itself."));
    if (records.length) parts.push(make("h3", {}, records.length === 1 ? "Build record" : "Build records"), ...records.map((at) => record(builds[at])));
    parts.push(...relations(place));
    return parts;
  }

  function badges(own) {
    const mark = markOf(own);
    const found = [make("li", {}, ROLES[own.role]), make("li", {}, own.level ? `layer: builds, level ${own.level}` : "layer: runtime"), make("li", { class: mark }, `${MARKS[mark]} ${MEANINGS[mark]}`)];
    if (own.direct) found.push(make("li", {}, "direct dependency"));
    if (own.license) found.push(make("li", {}, `license: ${own.license}`));
    if (own.yanked !== null) found.push(make("li", { class: "sdist-only" }, own.yanked ? `yanked: ${own.yanked}` : "yanked"));
    if (own["no-source"]) found.push(make("li", {}, "allowed as a wheel"));
    if (own["hash-origin"]) found.push(make("li", {}, "hash computed: the index gives none"));
    return make("ul", { class: "marks", "aria-label": "Marks" }, found);
  }

  function why(place) {
    const ends = pathsTo.get(place);
    return [make("h3", {}, "Why it is in the lock"), ...(ends.length ? longList({ class: "chains" }, ends, (end) => make("li", {}, chainWords(chainOf(end)))) : [make("p", {}, "Nothing is known to require it.")])];
  }

  function chainWords(chain) {
    const words = [linkTo(PROJECT)];
    for (const [above, below, kind, build] of chain) {
      if (kind === "build") {
        words.pop();
        const text = `build of ${builds[build].of}`;
        words.push(linkTo(above, text));
      }
      words.push(linkTo(below));
    }
    return words.flatMap((word, at) => (at ? [" › ", word] : [word]));
  }

  function where(own) {
    const cell = (there) => make("td", {}, there ? "yes" : make("span", { class: "quiet" }, "–"));
    const table = make("table", {}, make("caption", { class: "unseen" }, "On which targets"),
      make("thead", {}, make("tr", {}, ["target", "runtime", "in builds", "built"].map((text) => make("th", { scope: "col" }, text)))),
      make("tbody", {}, targets.map((target, at) => make("tr", {}, make("th", { scope: "row" }, target.name), cell(own.targets.includes(at)), cell(own["used-in-builds"].includes(at)), cell(own.built.includes(at))))));
    return [make("h3", {}, "Where"), make("div", { class: "scroll" }, table),
      facts([["marker", own.marker && make("code", {}, own.marker)], ["requires Python", own["requires-python"]], ["index", own.index && make("code", {}, own.index)],
        ["source", own.source && make("code", {}, own.source)], ["metadata", own.metadata && EVIDENCE[own.metadata]],
        ["attested by", own["attestation-identities"].map((identity) => make("div", {}, Object.entries(identity).map(([key, value]) => `${key}: ${value}`).join(", ")))]])];
  }

  function files(own) {
    const found = filesOf(own);
    if (!found.length) return [];
    return [make("h3", {}, several(found.length, "file", "files")), ...longList({ class: "plain" }, found, (file) => make("li", { class: "file" },
      make("div", { class: "mono" }, file.name), make("code", { class: "hash" }, file.sha256),
      make("div", { class: "quiet" }, [file.size === null ? null : several(file.size, "byte", "bytes"), file["upload-time"], file.targets.length ? labelsOf(file.targets) : null].filter(Boolean).join(" · ")),
      make("div", { class: "quiet mono" }, file.url || file.path)))];
  }

  function brings(own) {
    if (!own.contents.length) return [];
    const rows = new Map();
    for (const [label, text] of own.contents) rows.set(label, [...(rows.get(label) || []), text]);
    return [make("h3", {}, "What the files bring"), facts([...rows].map(([label, texts]) => [label, texted(texts)]))];
  }

  const texted = (list) => list.map((text) => make("div", {}, make("code", {}, text)));

  function record(build) {
    const members = (list) => (list.length ? make("ul", { class: "plain" }, list.map((member) => make("li", {},
      member.package === null ? `${member.name} ${member.version}` : linkTo(member.package, `${member.name} ${member.version}`),
      member.dependencies.length ? make("span", { class: "quiet" }, ` needs ${member.dependencies.join(", ")}`) : null))) : "empty");
    const dynamic = build["requires-dynamic"];
    return make("div", { class: "record" }, make("h4", {}, `as ${build.hook === "editable" ? "an editable installation" : "a wheel"}`), facts([
      ["why", NEEDED[build.needed]], ["built on", labelsOf(build.targets)],
      ["backend", make("code", {}, build.backend)], ["backend path", texted(build["backend-path"])],
      ["requires", build.requires.length ? [...texted(build.requires), build["requires-from"] === "default" ? make("span", { class: "quiet" }, "nothing is declared: the default") : null] : make("span", { class: "quiet" }, "nothing")],
      ["user added", texted(build["requires-user"])],
      ["hook added", dynamic === null ? make("span", { class: "alarm" }, "not known") : dynamic.length ? texted(dynamic) : make("span", { class: "quiet" }, "nothing")],
      ["evidence", make("span", { class: build.evidence === "assumed" ? "alarm" : "" }, EVIDENCE[build.evidence])],
      ["observed on", build["observed-on"]], ["conditional", build.conditional], ["ends", build.ends],
      ["sdist", build.sdist && make("code", { class: "hash" }, build.sdist)], ["Cargo.lock", build["cargo-lock"] && make("code", { class: "hash" }, build["cargo-lock"])],
      ["environment", members(build.packages)], ["for the declared requirements", build["declared-packages"] && members(build["declared-packages"])],
    ]));
  }

  function relations(place) {
    const sections = [];
    const list = (name, own, end) => {
      if (!own.length) return;
      sections.push(make("h3", {}, name), ...longList({ class: "plain" }, own, (at) => {
        const [, , kind, build, requirements, declared] = edges[at];
        const parts = [kind === "runtime" ? "at runtime" : kind === "build" ? `to build${end === 0 ? " it" : ""}` : `in the build of ${builds[build].of}`];
        if (declared) parts.push("declared requirements only");
        return make("li", {}, linkTo(edges[at][end]), make("span", { class: "quiet" }, ` ${parts.join(", ")}`), requirements.length ? [" ", make("code", {}, requirements.join("; "))] : null);
      }));
    };
    list("Needed by", parents.get(place), 0);
    list("Needs", children.get(place), 1);
    const used = [...usedBy.get(place)];
    if (used.length) {
      sections.push(make("h3", {}, "In the environments of"), ...longList({ class: "plain" }, used, (at) => make("li", {}, linkTo(builds[at].package === null ? PROJECT : builds[at].package, builds[at].of))));
    }
    return sections;
  }

  // -- views, keys, printing

  function view(name, focus) {
    for (const own of ["graph", "table"]) {
      const on = own === name;
      byId(own).hidden = !on;
      byId(`tab-${own}`).setAttribute("aria-selected", String(on));
      byId(`tab-${own}`).tabIndex = on ? 0 : -1;
      if (on && focus) byId(`tab-${own}`).focus();
    }
    redraw();
  }

  function keys(event) {
    if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const field = event.target.closest ? event.target.closest("input, select, textarea") : null;
    if (event.key === "/" && !field) {
      event.preventDefault();
      byId("search").focus();
      byId("search").select();
    } else if (event.key === "Escape") {
      if (field && field.id === "search" && field.value) {
        event.preventDefault();
        field.value = "";
        filter();
      } else if (!byId("details").hidden) close();
      else if (field) field.blur();
    }
  }

  function fromAddress() {
    let wanted = "";
    try {
      wanted = decodeURIComponent(location.hash.slice(1));
    } catch {
      return;
    }
    const place = packages.findIndex((own) => own.id === wanted);
    if (wanted && place >= 0 && place !== chosen) choose(place);
  }

  head();
  layers();
  table();
  hashes();
  byId("target").append(...targets.map((own, place) => make("option", { value: place }, own.name)));
  byId("search").addEventListener("input", filter);
  for (const id of ["role", "mark", "evidence", "target"]) byId(id).addEventListener("change", filter);
  byId("clear").addEventListener("click", clear);
  byId("hashes").addEventListener("change", hashes);
  for (const name of ["graph", "table"]) {
    byId(`tab-${name}`).addEventListener("click", () => view(name, false));
    byId(`tab-${name}`).addEventListener("keydown", (event) => {
      if (["ArrowLeft", "ArrowRight"].includes(event.key)) view(name === "graph" ? "table" : "graph", true);
    });
  }
  document.addEventListener("keydown", keys);
  window.addEventListener("hashchange", fromAddress);
  let before = false;
  window.addEventListener("beforeprint", () => { before = byId("hashes").checked; byId("hashes").checked = true; hashes(); });
  window.addEventListener("afterprint", () => { byId("hashes").checked = before; hashes(); });
  new ResizeObserver(redraw).observe(byId("layers"));
  filter();
  fromAddress();
})();
