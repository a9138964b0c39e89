// The server as this page sees it: the HTTP API, as any client uses it.

// Refusal is an answer that is an error. Its status is 0 when there was none.
export class Refusal extends Error {
  constructor(method, path, status, texts) {
    super(texts.join("; ") || `the server answers ${status}`);
    Object.assign(this, {method, path, status});
  }

  // policy is the rule that is missing, null if that is not what is wrong.
  get policy() {
    if (this.status !== 403) return null;
    const path = decodeURI(this.path.replace(/\?.*/, ""));
    // The rule of the path alone decides on the folder as well.
    if (path.startsWith(lookup)) return [rule(lookup.slice(0, -1), "update", "list", "sudo"), rule(`${lookup}*`, "list", "sudo")].join("\n");
    const trusted = sudo.some(prefix => prefix.endsWith("/") ? path.startsWith(prefix) : path === prefix);
    return trusted ? rule(path, capability[this.method], "sudo") : rule(path, capability[this.method]);
  }
}

const rule = (path, ...capabilities) => `path "${path}" {\n  capabilities = [${capabilities.map(name => `"${name}"`).join(", ")}]\n}`;

const lookup = "sys/leases/lookup/";

const capability = {GET: "read", LIST: "list", POST: "update", DELETE: "delete"};

// sudo are the paths, of those that this page uses, that ask for it.
const sudo = ["sys/auth/", "sys/leases", "sys/leases/revoke-prefix/"];

// Client sends requests with a token, or without one.
export class Client {
  #token;

  constructor(token = "") { this.#token = token; }

  get(path, signal) { return this.#send("GET", path, undefined, signal); }
  post(path, body, signal) { return this.#send("POST", path, body, signal); }

  // list returns the keys below a path; none is an empty list.
  async list(path, signal) {
    try {
      return (await this.#send("LIST", path, undefined, signal)).data.keys;
    } catch (error) {
      if (error.status === 404) return [];
      throw error;
    }
  }

  async #send(method, path, body, signal) {
    const headers = {"X-Vault-Request": "true"};
    if (this.#token) headers["X-Vault-Token"] = this.#token;
    let answer;
    try {
      answer = await fetch(`/v1/${path}`, {
        method, headers, signal, body: body && JSON.stringify(body),
        cache: "no-store", credentials: "omit", redirect: "error",
      });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Refusal(method, path, 0, ["the server does not answer"]);
    }
    const said = await answer.json().catch(() => ({}));
    if (!answer.ok) throw new Refusal(method, path, answer.status, said.errors ?? []);
    return said;
  }
}

// encodePath makes a path part of a URL; its slashes stay.
export const encodePath = path => path.split("/").map(encodeURIComponent).join("/");

// attempt waits for a promise and returns {value} or {error}; what is no answer
// of the server is thrown on.
export async function attempt(promise) {
  try {
    return {value: await promise};
  } catch (error) {
    if (!(error instanceof Refusal) || error.status === 0) throw error;
    return {error};
  }
}

// requestsAtOnce is how many requests are under way for one view.
const requestsAtOnce = 6;

// each calls a function for every item, a few at a time, and returns what the
// calls return, in order.
export async function each(items, call) {
  const results = new Array(items.length);
  let next = 0;
  const work = async () => {
    while (next < items.length) {
      const i = next++;
      results[i] = await call(items[i]);
    }
  };
  await Promise.all(Array.from({length: Math.min(requestsAtOnce, items.length)}, work));
  return results;
}
