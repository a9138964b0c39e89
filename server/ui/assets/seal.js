// Whether the server is sealed, and what opens it. Nothing here takes a token.

import {h} from "./dom.js";
import {facts} from "./parts.js";

export const title = "Seal";
export const pace = 5; // seconds

export const load = async (client, _, signal) => {
  const [status, leader] = await Promise.all([client.get("sys/seal-status", signal), client.get("sys/leader", signal).catch(() => ({}))]);
  return {status, leader};
};

// words are the state in words: how it looks, and what it is called.
export function words({initialized, sealed}) {
  if (!initialized) return ["warn", "not initialized"];
  return sealed ? ["bad", "✗ Sealed"] : ["good", "✓ Unsealed"];
}

export function render({status, leader}) {
  const [look, text] = words(status);
  const pairs = [["Seal", status.type], ["Storage", status.storage_type], ["Version", status.version]];
  if (status.n > 0) pairs.splice(1, 0, [status.recovery_seal ? "Recovery shares" : "Shares", `${status.t} of ${status.n} needed`]);
  if (leader.ha_enabled) pairs.push(["Node", leader.is_self ? "active" : `standby of ${leader.leader_address || "none"}`]);
  return [
    h("h2", {}, "Seal"),
    h("p", {class: `state ${look}`}, text),
    facts(pairs),
    !status.initialized && h("p", {class: "notice"}, "The server has no keys yet: run ", h("code", {}, "securevault operator init"), ", and keep what it prints."),
    status.initialized && status.sealed && renderUnseal(status),
  ];
}

function renderUnseal({t, progress, recovery_seal}) {
  if (recovery_seal) return h("p", {class: "notice"}, "This seal opens by itself as soon as its key can be reached. The log of the server says what keeps it from that.");
  return h("div", {class: "card", "data-key": "unseal"},
    h("h2", {}, "Unseal"),
    h("p", {id: "progress"}, `${progress} of ${t} key shares given`),
    h("progress", {max: t, value: progress, "aria-labelledby": "progress"}),
    h("form", {"data-submit": "unseal"},
      h("div", {}, h("label", {for: "share"}, "Key share"),
        h("input", {type: "password", id: "share", name: "share", required: true, autocomplete: "off", spellcheck: "false"})),
      h("div", {class: "head"}, h("button", {class: "main"}, "Give this share"),
        progress > 0 && h("button", {type: "button", "data-act": "reset"}, "Start over"))));
}

export const actions = {
  async unseal({client, say}, {share}, form) {
    form.reset();
    const {sealed, t, progress} = await client.post("sys/unseal", {key: share.trim()});
    say(sealed ? `${progress} of ${t} key shares given.` : "The server is unsealed.");
  },

  async reset({client, say}) {
    await client.post("sys/unseal", {reset: true});
    say("No key shares are given.");
  },
};
