// Questions whose answer cannot be taken back.

import {h} from "./dom.js";

// ask shows a question, and returns whether the answer was yes. Where ready is
// given, it cannot be yes before that has said what it is about: its button
// and body replace those given, and without a button there is nothing to agree
// to. Where typed is given, it has to be typed to say yes.
export function ask({question, body, button, typed, ready}) {
  const said = h("div", {"aria-live": "polite"}, ...body);
  const yes = h("button", {class: "danger main", disabled: true}, button ?? "Revoke");
  const no = h("button", {type: "button", autofocus: !typed}, "Cancel");
  const entry = typed && h("input", {type: "text", id: "typed", autocomplete: "off", spellcheck: "false"});
  const form = h("form", {},
    h("h2", {id: "question"}, question), said,
    typed && h("div", {}, h("label", {for: "typed"}, "Type ", h("code", {}, typed), " to confirm"), entry),
    h("div", {class: "acts"}, no, yes));
  const dialog = h("dialog", {"aria-labelledby": "question"}, form);

  let known = Boolean(button);
  const judge = () => { yes.disabled = !known || Boolean(typed && entry.value !== typed); };
  const tell = more => {
    said.replaceChildren(...more.body);
    known = Boolean(more.button);
    yes.textContent = more.button ?? "Revoke";
    judge();
  };
  judge();
  return new Promise((resolve, reject) => {
    ready?.then(tell).catch(error => { reject(error); dialog.close(); });
    form.addEventListener("input", judge);
    form.addEventListener("submit", event => { event.preventDefault(); if (!yes.disabled) dialog.close("yes"); });
    no.addEventListener("click", () => dialog.close());
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
