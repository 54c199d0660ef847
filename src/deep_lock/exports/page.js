
// Invariant: text of the lock becomes text nodes and nothing else. Work is linear in the packages.
(() => {
  const { byId, facts, make, slash } = shared;
  const data = JSON.parse(byId("data").textContent);
  const { packages, builds, edges, steps, paths, targets } = data;
  const SOME = 8; // items of a long list that are shown at first
  const PROJECT = -1;
  const MEANINGS = { "": "installs a wheel", built: "built from source on some targets", "sdist-only": "built from source: it has no wheel" };
  const ROLES = { runtime: "at run time", "build-only": "only in builds", both: "at run time and in builds" };
  const EVIDENCE = {
    static: "static: proven without running code",
    observed: "observed: the backend was run",
    assumed: "assumed: the backend was not run, and only the declared requirements are locked",
  };
  const NEEDED = {
    always: "no wheel exists", targets: "no wheel for these targets", forced: "no-binary", scope: "build scope all",
    project: "the project itself", direct: "a direct reference to a source tree",
  };
  const several = (count, one, many) => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

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

  // -- search and filters

  const texts = packages.map((own, place) => [own.name, title(place), own.source, own.index, ...filesOf(own).flatMap((file) => [file.name, file.sha256]),
    ...recordsOf.get(place).flatMap((at) => [builds[at].backend, builds[at].sdist])].filter(Boolean).join("\n").toLowerCase());

  function fits(place) {
    const own = packages[place];
    const [role, mark, evidence, target] = ["role", "mark", "evidence", "target"].map((id) => byId(id).value);
    const words = byId("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    if (!words.every((word) => texts[place].includes(word))) return false;
    if (role === "runtime" ? own.role === "build-only" : role === "build" ? own.role === "runtime" : role && own.role !== role) return false;
    if (mark === "native" ? !own.native : mark === "code" ? !markOf(own) : mark && markOf(own) !== (mark === "wheel" ? "" : mark)) return false;
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
      rows.get(place).hidden = !fit;
    });
    for (const body of byId("rows").tBodies) body.hidden = ![...body.rows].some((own) => own.dataset.place && !own.hidden);
    byId("shown").textContent = shown === packages.length ? several(shown, "package", "packages") : `${shown.toLocaleString("en")} of ${several(packages.length, "package", "packages")}`;
    byId("nothing").hidden = shown > 0;
  }

  function clear() {
    for (const id of ["search", "role", "mark", "evidence", "target"]) byId(id).value = "";
    filter();
  }

  // -- the selected package

  const rows = new Map([...document.querySelectorAll("#rows [data-place]")].map((own) => [Number(own.dataset.place), own]));
  let chosen = null;
  let back = null;

  function choose(place) {
    const aside = byId("details");
    if (!aside.contains(document.activeElement)) back = document.activeElement;
    chosen = place;
    aside.replaceChildren(...details(place));
    aside.hidden = false;
    aside.scrollTop = 0;
    document.body.classList.add("split");
    mark();
    address(place === PROJECT ? "" : `#${encodeURIComponent(packages[place].id)}`);
    aside.querySelector("h2").focus({ preventScroll: true });
    if (rows.has(place)) rows.get(place).scrollIntoView({ block: "nearest" });
  }

  function close() {
    const was = chosen;
    byId("details").hidden = true;
    document.body.classList.remove("split");
    chosen = null;
    mark();
    address("");
    const row = rows.get(was);
    (back && back.isConnected && back !== document.body ? back : row ? row.querySelector("button") : byId("search")).focus();
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
    for (const [place, own] of rows) {
      if (place === chosen) own.setAttribute("aria-current", "true");
      else own.removeAttribute("aria-current");
    }
  }

  const linkTo = (place, text) => make("button", { type: "button", class: "link", onclick: () => choose(place) }, text || title(place));

  function details(place) {
    const own = place === PROJECT ? null : packages[place];
    const closing = make("button", { type: "button", class: "close", onclick: close }, "Close");
    const name = make("h2", { tabindex: "-1" }, title(place));
    const records = recordsOf.get(place);
    const parts = [closing, name];
    if (own) parts.push(badges(own), links(own), ...why(place));
    else parts.push(make("p", { class: "quiet" }, "The project itself."));
    parts.push(...focus(place));
    if (records.length) parts.push(make("h3", {}, records.length === 1 ? "How it is built" : "How it is built (several builds)"), ...records.map((at) => record(builds[at])));
    if (own) parts.push(...where(own), ...brings(own), ...files(own));
    return parts;
  }

  function badges(own) {
    const mark = markOf(own);
    const found = [make("li", {}, ROLES[own.role])];
    if (own.direct) found.push(make("li", {}, "direct dependency"));
    if (own.level) found.push(make("li", {}, `builds, level ${own.level}`));
    found.push(make("li", { class: mark }, MEANINGS[mark]));
    if (own.native) found.push(make("li", {}, own.native));
    if (own.license) found.push(make("li", {}, `license: ${own.license}`));
    const published = rows.get(packages.indexOf(own)).cells[4].textContent;
    if (published) found.push(make("li", {}, `published ${published}`));
    if (own.yanked !== null) found.push(make("li", { class: "sdist-only" }, own.yanked ? `yanked: ${own.yanked}` : "yanked"));
    if (own["no-source"]) found.push(make("li", {}, "allowed as a wheel"));
    if (own["hash-origin"]) found.push(make("li", {}, "hash computed: the index has none"));
    return make("ul", { class: "marks", "aria-label": "Properties" }, found);
  }

  // The page has checked the addresses; the scheme is checked here again.
  function links(own) {
    const found = own.links.filter(([, url]) => url.startsWith("https://"));
    return found.length ? make("ul", { class: "links", "aria-label": "Links" }, found.map(([label, url]) => make("li", {}, make("a", { href: url, rel: "noopener noreferrer" }, label)))) : null;
  }

  // -- the graph around one package: what requires it, and what it requires, with the ranges of versions

  function focus(place) {
    const side = (name, list, end, none) => {
      const items = new Map();
      for (const at of list) {
        const [, , kind, build, requirements, declared] = edges[at];
        const other = edges[at][end];
        const use = kind === "runtime" ? "" : kind === "build" ? `to build ${end === 0 && place !== PROJECT ? title(other) : title(place)}` : `in the build of ${builds[build].of}`;
        const key = `${other} ${requirements.join("; ")}`;
        if (!items.has(key)) items.set(key, { other, requirements, uses: [] });
        const text = declared ? `${use}, for the declared requirements only` : use;
        if (text && !items.get(key).uses.includes(text)) items.get(key).uses.push(text);
      }
      const own = [...items.values()];
      const item = ({ other, requirements, uses }) => make("li", {}, make("button", { type: "button", class: "node", onclick: () => choose(other) }, title(other)),
        requirements.length ? make("code", { class: "range" }, requirements.join("; ")) : null,
        uses.length ? make("div", { class: "quiet" }, uses.length > 2 ? `${uses.slice(0, 2).join(", ")} and ${uses.length - 2} more` : uses.join(", ")) : null);
      return make("div", { class: "side" }, make("h4", {}, own.length ? `${name} (${own.length})` : name), own.length ? longList({ class: "nodes" }, own, item) : make("p", { class: "quiet" }, none));
    };
    const graph = make("div", { class: "focus" },
      side("Required by", parents.get(place), 0, place === PROJECT ? "This is the project." : "Nothing is known to require it."),
      make("div", { class: "middle" }, make("span", { class: "node here" }, title(place))),
      side("Requires", children.get(place), 1, "It requires nothing in this lock."));
    const note = data.ranges ? "Ranges between packages are those of the metadata in the files that were read."
      : "The lock has the version ranges of the project and of builds, not those between packages: deep-lock report --deep reads them from the files.";
    const used = [...usedBy.get(place)];
    const environments = used.length ? [make("h3", {}, `In the build environments of (${used.length})`), ...longList({ class: "plain" }, used, (at) => make("li", {}, linkTo(builds[at].package === null ? PROJECT : builds[at].package, builds[at].of)))] : [];
    return [make("h3", {}, "Dependencies"), graph, make("p", { class: "quiet note" }, note), ...environments];
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

  // -- keys and the beginning

  function keys(event) {
    if (event.key !== "Escape" || event.ctrlKey || event.altKey || event.metaKey || event.isComposing) return;
    const field = event.target.closest ? event.target.closest("input, select, textarea") : null;
    if (field && field.id === "search" && field.value) {
      event.preventDefault();
      field.value = "";
      filter();
    } else if (!byId("details").hidden) close();
    else if (field) field.blur();
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

  // The names become buttons, which do nothing without this script.
  for (const [place, row] of rows) {
    const name = row.querySelector(".name");
    name.replaceChildren(make("button", { type: "button", class: "link", onclick: () => choose(place) }, name.textContent));
  }
  byId("target").append(...targets.map((own, place) => make("option", { value: place }, own.name)));
  byId("search").addEventListener("input", filter);
  for (const id of ["role", "mark", "evidence", "target"]) byId(id).addEventListener("change", filter);
  byId("clear").addEventListener("click", clear);
  byId("bar").hidden = false;
  byId("help").hidden = false;
  slash(byId("search"));
  document.addEventListener("keydown", keys);
  window.addEventListener("hashchange", fromAddress);
  filter();
  fromAddress();
})();
