// Parts that several views show.

import {encodePath} from "./api.js";
import {h} from "./dom.js";

// problem says what was refused and, if a policy is missing, which.
export function problem(what, error) {
  if (!error) return null;
  if (!error.policy) return h("div", {class: "problem", role: "alert"}, h("strong", {class: "bad"}, what), ": ", error.message);
  return h("div", {class: "problem", role: "alert"},
    h("strong", {class: "bad"}, what), ": your token may not ", h("code", {}, `${error.method} ${error.path}`),
    ". A policy of it would have to say:", h("pre", {}, error.policy));
}

// table shows rows below the names of their columns; the first cell of a row is
// its heading. On narrow screens each row is a card.
export function table(label, columns, rows) {
  return h("div", {class: "scroll", tabindex: "0", role: "region", "aria-label": label},
    h("table", {class: "cards"},
      h("thead", {}, h("tr", {}, columns.map(name => h("th", {scope: "col"}, name || h("span", {class: "unseen"}, "Actions"))))),
      h("tbody", {}, rows.map(({key, cells}) => h("tr", {"data-key": key}, cells.map((cell, i) => {
        if (i === 0) return h("th", {scope: "row"}, cell);
        return columns[i] ? h("td", {"data-label": columns[i]}, cell) : h("td", {class: "acts"}, cell);
      }))))));
}

export const empty = text => h("div", {class: "scroll"}, h("p", {class: "empty"}, text));

// facts shows pairs of a name and a value.
export const facts = pairs => h("dl", {class: "facts"}, pairs.map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

// act is a button that has the view do something: its actions[name] is called
// with the values.
export function act(name, text, values = {}, properties = {}) {
  const data = Object.fromEntries(Object.entries(values).map(([key, value]) => [`data-${key}`, value]));
  return h("button", {type: "button", "data-act": name, ...data, ...properties}, text);
}

// leasesAt is where the leases below a prefix are shown.
export const leasesAt = prefix => `#/leases/${encodePath(prefix)}`;
