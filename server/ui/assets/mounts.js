// What is mounted: engines with their roles, and auth methods.

import {attempt, each, encodePath} from "./api.js";
import {h} from "./dom.js";
import {count, duration, number} from "./format.js";
import {empty, leasesAt, problem, table} from "./parts.js";

export const title = "Mounts";
export const pace = 30; // seconds

// withRoles are the engines that list their roles at roles/.
const withRoles = new Set(["aws", "azure", "consul", "database", "kubernetes", "ldap", "pki", "ssh"]);

// rolesShown is how many roles of one mount are shown at first.
const rolesShown = 50;

export async function load(client, _, signal) {
  const [all, counts] = await Promise.all([
    attempt(client.get("sys/internal/ui/mounts", signal)),
    attempt(client.get("sys/leases/count", signal)),
  ]);
  if (all.error) return {error: all.error};
  const tuned = (kind, found) => each(Object.entries(found).filter(([, mount]) => mount.type !== "system").sort(([a], [b]) => a.localeCompare(b)), async ([path, mount]) => {
    const [tune, roles] = await Promise.all([
      attempt(client.get(`sys/${kind}/${encodePath(path)}tune`, signal)),
      withRoles.has(mount.type) && kind === "mounts" ? loadRoles(client, path, signal) : null,
    ]);
    return {...mount, path, roles, ttls: tune.value?.data ?? mount.config};
  });
  const [engines, methods] = await Promise.all([tuned("mounts", all.value.data.secret), tuned("auth", all.value.data.auth)]);
  return {engines, methods, counts: counts.value?.data};
}

async function loadRoles(client, path, signal) {
  const names = await attempt(client.list(encodePath(`${path}roles`), signal));
  if (names.error) return names;
  const shown = await each(names.value.slice(0, rolesShown), async name => {
    const {value, error} = await attempt(client.get(encodePath(`${path}roles/${name}`), signal));
    return {name, error, ...value?.data};
  });
  return {value: {shown, hidden: names.value.length - shown.length}};
}

export function render({error, engines, methods, counts}) {
  if (error) return [h("h2", {}, "Mounts"), problem("The mounts cannot be listed", error)];
  return [
    h("h2", {}, "Secrets engines"),
    engines.length === 0 ? empty("Your token can use none.") : table("Secrets engines", ["Path", "Type", "Description", "Default TTL", "Longest TTL", "Leases"], engines.map(mount => row(mount, counts))),
    engines.filter(mount => mount.roles).map(mount => renderRoles(mount, counts)),
    h("h2", {}, "Auth methods"),
    methods.length === 0 ? empty("Your token can use none.") : table("Auth methods", ["Path", "Type", "Description", "Default TTL", "Longest TTL"], methods.map(mount => row(mount))),
  ];
}

function row(mount, counts) {
  const cells = [mount.path, mount.type, mount.description || "", ttl(mount.ttls.default_lease_ttl), ttl(mount.ttls.max_lease_ttl)];
  const leases = counts?.counts[mount.path] ?? 0;
  if (counts) cells.push(leases ? h("a", {href: leasesAt(mount.path)}, number(leases)) : "0");
  return {key: mount.path, cells};
}

const ttl = seconds => seconds ? duration(seconds) : "the server's";

function renderRoles({path, roles}, counts) {
  const heading = h("h2", {}, "Roles of ", path);
  if (roles.error) return [heading, problem("The roles cannot be listed", roles.error)];
  const {shown, hidden} = roles.value;
  if (shown.length === 0) return [heading, empty("None yet.")];
  return [
    heading,
    table(`Roles of ${path}`, ["Role", "Connection", "Default TTL", "Longest TTL", "Leases"], shown.map(role => {
      const leases = counts?.roles[path]?.[role.name] ?? 0;
      const own = role.error ? [problem("It cannot be read", role.error), "", ""] :
        [role.db_name ?? "", lifetime(role.default_ttl ?? role.ttl, "the mount's"), lifetime(role.max_ttl, "the mount's")];
      return {key: role.name, cells: [role.name, ...own, leases ? h("a", {href: leasesAt(`${path}creds/${role.name}/`)}, number(leases)) : "0"]};
    })),
    hidden > 0 && h("p", {class: "quiet"}, `${count(hidden, "more role")}: securevault list ${path}roles`),
  ];
}

// lifetime writes a TTL as engines give them, in seconds or as text.
const lifetime = (value, otherwise) => !value || value === "0s" ? otherwise : typeof value === "number" ? duration(value) : value;
