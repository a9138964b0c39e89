// The leases that are alive: a page of them at a time, found by prefix.

import {attempt, each, encodePath} from "./api.js";
import {ask} from "./ask.js";
import {h} from "./dom.js";
import {ago, count, duration, number} from "./format.js";
import {act, empty, leasesAt, problem, table} from "./parts.js";
import {page, tally} from "./walk.js";

const pageSize = 50;

// A bar is low when less than this part of the lifetime is left.
const low = 0.15;

export const title = "Leases";
export const pace = 5; // seconds

export async function load(client, {rest: prefix, query}, signal) {
  const number = Math.max(1, Number.parseInt(query.get("page"), 10) || 1);
  const [found, counts, stuck] = await Promise.all([
    attempt(page(client, prefix, (number - 1) * pageSize, pageSize, signal)),
    attempt(client.get("sys/leases/count", signal)),
    attempt(client.get("sys/leases?type=irrevocable&limit=100", signal)),
  ]);
  const leases = await each(found.value?.ids ?? [], id => look(client, id, signal));
  return {prefix, number, found, counts, stuck, leases};
}

// look returns what is known of a lease. Its end is told by this computer's
// clock, whatever that says.
async function look(client, id, signal) {
  const {value, error} = await attempt(client.post("sys/leases/lookup", {lease_id: id}, signal));
  if (error) return {id, error, gone: error.status === 400 || error.status === 404};
  const {issue_time, last_renewal, expire_time, renewable, ttl} = value.data;
  const granted = last_renewal ?? issue_time;
  const lifetime = (Date.parse(expire_time) - Date.parse(granted)) / 1000;
  return {id, issued: issue_time, renewed: last_renewal, renewable, lifetime: Math.max(lifetime, ttl, 1), ends: Date.now() + ttl * 1000};
}

export function render(data, now) {
  const total = data.counts.value?.data.lease_count;
  return [
    h("div", {class: "head"}, h("h2", {}, "Leases"), total !== undefined && h("span", {class: "quiet"}, `${count(total, "lease")} on this server`)),
    search(data.prefix),
    crumbs(data.prefix),
    renderStuck(data.stuck),
    problem("The leases cannot be listed", data.found.error),
    data.found.value && renderLeases(data, now),
  ];
}

function search(prefix) {
  return h("form", {class: "search", role: "search", "data-submit": "search"},
    h("div", {}, h("label", {for: "prefix"}, "Lease id, or its beginning"),
      h("input", {type: "search", id: "prefix", name: "prefix", value: prefix, placeholder: "database/creds/app/", autocomplete: "off", spellcheck: "false"})),
    h("button", {}, "Search"),
    act("revokePrefix", "Revoke all of these…", {prefix}, {class: "danger", disabled: !prefix.endsWith("/")}),
    prefix && !prefix.endsWith("/") && h("small", {}, "To revoke all below a path, open it first: its name ends with a slash."));
}

// crumbs lead from the prefix to those above it.
function crumbs(prefix) {
  const parts = prefix.split("/").slice(0, -1);
  const links = parts.map((part, i) => [h("a", {href: leasesAt(parts.slice(0, i + 1).join("/") + "/")}, part), " / "]);
  return h("nav", {class: "crumbs", "aria-label": "Prefix"}, h("a", {href: leasesAt("")}, "all"), " / ", links);
}

function renderStuck({value, error}) {
  if (error) return h("details", {"data-key": "stuck"}, h("summary", {class: "quiet"}, "Whether some leases cannot be revoked is not known"), problem("They cannot be listed", error));
  if (value.data.lease_count === 0) return null;
  return h("details", {class: "notice", "data-key": "stuck"},
    h("summary", {}, h("strong", {class: "warn"}, count(value.data.lease_count, "lease")), " cannot be revoked: the engine fails again and again"),
    table("Leases that cannot be revoked", ["Lease", "Last failure", ""], value.data.leases.map(({lease_id, error}) => ({
      key: lease_id, cells: [h("span", {class: "id"}, lease_id), error, act("revoke", "Try again", {id: lease_id}, {"aria-label": `Try to revoke ${lease_id} again`})],
    }))));
}

function renderLeases({prefix, number: at, found, leases}, now) {
  const shown = leases.filter(lease => !lease.gone);
  if (shown.length === 0 && at === 1) return empty(prefix ? `No lease begins with ${prefix}` : "There are no leases. They appear as soon as a credential is issued.");
  const start = (at - 1) * pageSize;
  const to = page => `${leasesAt(prefix)}?page=${page}`;
  return [
    table("Leases", ["Lease", "Time left", "Issued", "Renewed", ""], shown.map(lease => row(lease, now))),
    h("nav", {class: "pages", "aria-label": "Pages"},
      at > 1 && h("a", {href: to(at - 1)}, "← Previous"),
      h("span", {class: "quiet"}, `${number(start + 1)} to ${number(start + shown.length)}${found.value.more ? ", and more" : ""}`),
      found.value.more && h("a", {href: to(at + 1)}, "Next →")),
  ];
}

function row(lease, now) {
  const slash = lease.id.lastIndexOf("/") + 1;
  const folder = lease.id.slice(0, slash);
  const name = [h("a", {href: leasesAt(folder)}, folder), h("small", {class: "id"}, lease.id.slice(slash))];
  if (lease.error) return {key: lease.id, cells: [name, problem("It cannot be looked up", lease.error), "", "", ""]};
  const left = Math.max(0, (lease.ends - now) / 1000);
  const bar = h("progress", {max: 100, value: Math.round(100 * left / lease.lifetime), class: left < low * lease.lifetime && "low", "aria-label": `time left of ${lease.id}`});
  return {
    key: lease.id,
    cells: [
      name,
      [bar, left > 0 ? duration(left) : "ending", h("span", {class: "quiet"}, ` of ${duration(lease.lifetime)}`)],
      h("span", {title: lease.issued}, ago(lease.issued, now)),
      lease.renewed ? h("span", {title: lease.renewed}, ago(lease.renewed, now)) : h("span", {class: "quiet"}, lease.renewable ? "not yet" : "not renewable"),
      [
        lease.renewable && act("renew", "Renew", {id: lease.id}, {"aria-label": `Renew ${lease.id}`}),
        act("revoke", "Revoke…", {id: lease.id}, {"aria-label": `Revoke ${lease.id}`, class: "danger"}),
      ],
    ],
  };
}

export const actions = {
  search({go}, {prefix}) { go(leasesAt(prefix.trim())); },

  async renew({client, say}, {id}) {
    const renewed = await client.post("sys/leases/renew", {lease_id: id});
    const warning = renewed.warnings?.length ? ` ${renewed.warnings.join(" ")}` : "";
    say(`Renewed ${id}: it lives for ${duration(renewed.lease_duration)}.${warning}`);
  },

  async revoke({client, say}, {id}) {
    const sure = await ask({
      question: "Revoke this lease?", button: "Revoke 1 lease",
      body: [h("p", {class: "id"}, id), h("p", {}, "Its credential stops working at once. Whoever uses it has to ask for another.")],
    });
    if (!sure) return;
    await client.post("sys/leases/revoke", {lease_id: id, sync: true});
    say(`Revoked ${id}.`);
  },

  async revokePrefix({client, say}, {prefix}) {
    const said = h("p", {}, "Counting…");
    const counted = tally(client, prefix, undefined, n => { said.textContent = `Counting… ${number(n)} so far`; });
    const sure = await ask({question: `Revoke all leases below ${prefix}?`, body: [said], typed: prefix, ready: counted.then(revocation)});
    if (!sure) return;
    await client.post(`sys/leases/revoke-prefix/${encodePath(prefix)}`, {sync: false});
    say(`Revoking ${count((await counted).total, "lease")} below ${prefix}.`);
  },
};

// rolesNamed is how many roles a question names; the rest it counts.
const rolesNamed = 8;

// revocation is what a dialog says once it is known what is to be revoked.
function revocation({total, roles}) {
  if (total === 0) return {body: [h("p", {}, "There are none.")]};
  const named = [...roles].slice(0, rolesNamed);
  const others = [...roles].slice(rolesNamed).reduce((sum, [, n]) => sum + n, 0);
  return {
    button: `Revoke ${count(total, "lease")}`,
    body: [
      h("p", {}, "The credentials of ", h("strong", {}, count(total, "lease")), " stop working at once:"),
      h("ul", {}, named.map(([role, n]) => h("li", {}, h("span", {class: "id"}, role), ` ${number(n)}`)), others > 0 && h("li", {}, `of ${count(roles.size - named.length, "other role")} ${number(others)}`)),
      h("p", {}, "Whoever uses them has to ask for others. This cannot be undone."),
    ],
  };
}
