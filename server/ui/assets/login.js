// Logging in, with a token or as a user.

import {Client, encodePath} from "./api.js";
import {h} from "./dom.js";

export const title = "Log in";
export const pace = 5; // seconds

export const load = async (_, {query}) => ({user: query.get("by") === "user"});

export function render({user}) {
  const way = (value, text, chosen) => h("a", {href: `#/login/${value}`, "aria-current": chosen && "true"}, text);
  return h("div", {class: "card", "data-key": user ? "user" : "token"},
    h("h2", {}, "Log in"),
    h("nav", {"aria-label": "Way to log in"}, h("ul", {class: "tabs"}, h("li", {}, way("", "Token", !user)), h("li", {}, way("?by=user", "Username", user)))),
    user ? byUser() : byToken());
}

const field = (label, name, properties) => h("div", {},
  h("label", {for: name}, label), h("input", {id: name, name, required: true, spellcheck: "false", autocapitalize: "off", ...properties}));

const byToken = () => h("form", {"data-submit": "token"},
  field("Token", "token", {type: "password", autocomplete: "off", autofocus: true}),
  h("button", {class: "main"}, "Log in"),
  h("small", {}, "The token stays in the memory of this page: a reload forgets it."));

const byUser = () => h("form", {"data-submit": "user"},
  field("Username", "username", {type: "text", autocomplete: "username", autofocus: true}),
  field("Password", "password", {type: "password", autocomplete: "current-password"}),
  field("Mounted at", "mount", {type: "text", value: "userpass", autocomplete: "off"}),
  h("button", {class: "main"}, "Log in"));

export const actions = {
  token({enter}, {token}) { return enter(token.trim(), false); },

  async user({enter}, {username, password, mount}) {
    const path = `auth/${mount.trim().replace(/^\/|\/$/g, "")}/login/${username.trim()}`;
    const {auth} = await new Client().post(encodePath(path), {password});
    return enter(auth.client_token, true);
  },
};
