// Lease ids are found folder by folder, and no further than somebody looks.

import {encodePath} from "./api.js";

// walk yields the ids of all leases that begin with prefix, in the order of the
// folders. It asks for a folder only once its turn has come.
export async function* walk(client, prefix, signal) {
  const folder = prefix.slice(0, prefix.lastIndexOf("/") + 1);
  const keys = await client.list(`sys/leases/lookup/${encodePath(folder)}`, signal);
  for (const key of keys) {
    const path = folder + key;
    if (!path.startsWith(prefix)) continue;
    if (key.endsWith("/")) yield* walk(client, path, signal);
    else yield path;
  }
}

// page returns size ids from the one at start, and whether there are more.
export async function page(client, prefix, start, size, signal) {
  const ids = [];
  let passed = 0;
  for await (const id of walk(client, prefix, signal)) {
    if (passed++ < start) continue;
    if (ids.length === size) return {ids, more: true};
    ids.push(id);
  }
  return {ids, more: false};
}

// tally counts all leases that begin with prefix by the path of their role, and
// tells of every folder that it has counted.
export async function tally(client, prefix, signal, tell) {
  const roles = new Map();
  let total = 0;
  for await (const id of walk(client, prefix, signal)) {
    const role = id.slice(0, id.lastIndexOf("/") + 1);
    roles.set(role, (roles.get(role) ?? 0) + 1);
    if (++total % 1000 === 0) tell(total);
  }
  return {total, roles};
}
