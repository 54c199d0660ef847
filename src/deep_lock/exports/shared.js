
"use strict";
// What the scripts of all pages use. Invariant: text from outside becomes text nodes and nothing else.
const shared = (() => {
  const byId = (id) => document.getElementById(id);

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

  function facts(rows) {
    const list = make("dl", { class: "facts" });
    for (const [name, value] of rows) {
      if (!value || (Array.isArray(value) && !value.length)) continue;
      list.append(make("dt", {}, name), make("dd", {}, value));
    }
    return list;
  }

  // The key / goes to the search.
  function slash(field) {
    document.addEventListener("keydown", (event) => {
      if (event.key !== "/" || event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
      if (/^(INPUT|SELECT|TEXTAREA)$/.test(document.activeElement.tagName)) return;
      event.preventDefault();
      field.focus();
      field.select();
    });
  }

  return { byId, facts, make, slash };
})();
