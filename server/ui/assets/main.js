// The page: which view is shown, for whom, and when it is loaded anew.
//
// A view is a module with a title, a pace (seconds between two loads), load
// (requests), render (what was loaded, as elements) and actions (what its
// buttons and forms do). The address behind # says which view is shown and
// where in it: #/VIEW/REST?QUERY. It never holds anything secret.

import * as alerts from "./alerts.js";
import {Client, Refusal} from "./api.js";
import {changeChildren, h} from "./dom.js";
import * as leases from "./leases.js";
import * as limits from "./limits.js";
import * as login from "./login.js";
import * as mounts from "./mounts.js";
import {problem} from "./parts.js";
import * as seal from "./seal.js";

const views = {leases, mounts, limits, alerts, seal};
const [head, content, lost, said] = ["head", "content", "lost", "said"].map(id => document.getElementById(id));

const sayFor = 6000; // milliseconds that a message stays

const whoAmI = "auth/token/lookup-self";

// A view is loaded anew after its pace, and after as many times as long as
// loading took: a server that is slow is asked less often.
const patience = 20;

// state is all there is to know. The token is in the client alone: neither in
// the address nor in any storage, which browsers write to disk.
const state = {
  client: null,  // null while nobody is logged in
  self: null,    // what the server says of the token
  made: false,   // the token was made for this page, and goes with it
  seal: null,    // the last seal status
  view: null,    // the module that is shown
  data: null,    // what it loaded
  failed: null,  // the refusal of the last action
  loading: null, // aborts the load under way
  timer: 0,
};

function place() {
  const [, name, rest, query] = /^#?\/?([^/?]*)\/?([^?]*)\??(.*)$/.exec(location.hash);
  return {name, rest: decode(rest), query: new URLSearchParams(query)};
}

function decode(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text; // typed by hand
  }
}

// choose returns the view to show. A sealed server has but one.
function choose({name}) {
  if (state.seal?.sealed || !state.client && name === "seal") return seal;
  return state.client ? views[name] ?? leases : login;
}

async function refresh() {
  clearTimeout(state.timer);
  state.loading?.abort();
  const loading = state.loading = new AbortController();
  const started = performance.now();
  try {
    state.seal = await new Client().get("sys/seal-status", loading.signal);
    const here = place();
    const view = choose(here);
    const data = await view.load(state.client ?? new Client(), here, loading.signal);
    if (state.view && view !== state.view) content.focus();
    Object.assign(state, {view, data});
    lost.hidden = true;
    if (refusesToken(data)) await leaveIfEnded();
  } catch (error) {
    if (error.name === "AbortError" || loading !== state.loading) return;
    if (error.status === undefined) throw error;
    lost.hidden = false;
  }
  draw();
  const wait = Math.max((state.view ?? login).pace * 1000, patience * (performance.now() - started));
  state.timer = setTimeout(() => document.hidden || refresh(), wait);
}

const refusesToken = data => state.client && Object.values(data).some(part => part?.error?.status === 403 || part?.status === 403);

// leaveIfEnded logs out when the token itself is not valid any more.
async function leaveIfEnded() {
  try {
    await state.client.get(whoAmI);
  } catch (error) {
    if (error.status !== 403) return;
    forget();
    say("Your token has ended. Log in again.");
    setTimeout(refresh);
  }
}

function forget() { Object.assign(state, {client: null, self: null, made: false, failed: null}); }

function draw() {
  if (!state.view) return;
  document.title = `${state.view.title} · SecureVault`;
  changeChildren(head, [...drawHead()]);
  const drawn = [problem("That did not work", state.failed), state.view.render(state.data, Date.now())].flat(Infinity).filter(Boolean);
  changeChildren(content, drawn);
}

function* drawHead() {
  const [look, text] = seal.words(state.seal);
  yield h("div", {class: "head"},
    h("h1", {}, h("img", {src: "icon.svg", alt: ""}), "SecureVault"),
    h("div", {class: "who"},
      state.self && h("span", {class: "quiet"}, `${state.self.display_name} (${state.self.policies.join(", ")})`),
      h("a", {class: `badge ${look}`, href: "#/seal", id: "sealed"}, text),
      state.client && h("button", {type: "button", "data-act": "logout"}, "Log out")));
  if (!state.client || state.seal.sealed) return;
  yield h("nav", {"aria-label": "Views"}, h("ul", {class: "tabs"}, Object.entries(views).map(([name, view]) =>
    h("li", {}, h("a", {href: `#/${name}`, "aria-current": view === state.view && "page"}, view.title)))));
}

let silence = 0;
function say(text) {
  said.textContent = text;
  clearTimeout(silence);
  silence = setTimeout(() => { said.textContent = ""; }, sayFor);
}

// enter logs in with a token.
async function enter(token, made) {
  const client = new Client(token);
  const {data} = await client.get(whoAmI).catch(error => {
    if (error.status !== 403) throw error;
    throw new Refusal("GET", whoAmI, 400, ["the server does not know this token: it is mistyped, or has ended"]);
  });
  Object.assign(state, {client, made, self: data});
  say("");
  if (place().name === "login") location.hash = "#/leases";
}

const session = {
  // A token that this page made is of no use to anybody else.
  async logout({client}) {
    const made = state.made;
    forget();
    location.hash = "#/login";
    say("Logged out.");
    if (made) await client.post("auth/token/revoke-self", {});
  },
};

// perform does what a button or a form asks for, and shows what is refused.
async function perform(name, values, element) {
  const action = session[name] ?? state.view.actions?.[name];
  const context = {client: state.client ?? new Client(), say, enter, go: where => { location.hash = where; }};
  state.failed = null;
  element.toggleAttribute("aria-busy", true);
  try {
    await action(context, values, element);
  } catch (error) {
    if (error.status === undefined) throw error;
    state.failed = error;
  } finally {
    element.toggleAttribute("aria-busy", false);
  }
  await refresh();
}

document.addEventListener("click", event => {
  const button = event.target.closest("[data-act]");
  if (button) perform(button.dataset.act, {...button.dataset}, button);
});

document.addEventListener("submit", event => {
  const form = event.target.closest("[data-submit]");
  if (!form) return;
  event.preventDefault();
  perform(form.dataset.submit, Object.fromEntries(new FormData(form)), form);
});

addEventListener("hashchange", () => { state.failed = null; refresh(); });
document.addEventListener("visibilitychange", () => document.hidden || refresh());
setInterval(() => document.hidden || draw(), 1000); // time goes on between two loads
refresh();
