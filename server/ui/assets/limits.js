// How many leases each role has, of those it may have.

import {attempt} from "./api.js";
import {h} from "./dom.js";
import {count, number} from "./format.js";
import {empty, leasesAt, problem, table} from "./parts.js";

export const title = "Limits";
export const pace = 5; // seconds

// A bar is close to its end above this percentage.
const close = 80;

export async function load(client, _, signal) { return attempt(client.get("sys/leases/count", signal)); }

export function render({value, error}) {
  const head = h("div", {class: "head"}, h("h2", {}, "Leases of each role"), value && h("span", {class: "quiet"}, count(value.data.lease_count, "lease")));
  if (error) return [head, problem("The leases cannot be counted", error)];
  const {roles, limits = {}} = value.data;
  const rows = Object.entries(roles).flatMap(([mount, counts]) => Object.entries(counts).map(([role, leases]) => ({mount, role, leases, most: limits[mount]})));
  rows.sort((a, b) => used(b) - used(a) || b.leases - a.leases || a.mount.localeCompare(b.mount) || a.role.localeCompare(b.role));
  const named = Object.entries(limits).map(([mount, most]) => `${mount} ${number(most)}`);
  return [
    head,
    h("p", {class: "quiet"}, named.length ? `At most for each role: ${named.join(", ")}.` : "No engine has a limit. Set max_leases_per_role in lease_limits of the configuration."),
    rows.length === 0 ? empty("No role has a lease.") : table("Leases of each role", ["Role", "Mount", "Used", "Leases"], rows.map(row)),
  ];
}

const used = ({leases, most}) => most ? 100 * leases / most : -1;

function row(line) {
  const percent = Math.round(used(line));
  const state = percent >= 100 ? "full" : percent >= close && "low";
  const bar = line.most ? [h("progress", {max: 100, value: percent, class: state, "aria-label": `leases used by ${line.mount}${line.role}`}), `${percent} % of ${number(line.most)}`] : h("span", {class: "quiet"}, "no limit");
  return {
    key: line.mount + line.role,
    cells: [line.role, line.mount, bar, h("a", {href: leasesAt(line.mount)}, number(line.leases))],
  };
}
