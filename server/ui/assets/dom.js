// Elements are made by h and put in place by change. Nothing here takes markup
// as text, so that nothing a server says can become any.

// h makes an element. Properties are attributes; those that are false, null or
// undefined are left out, those that are true stand without a value. Children
// are elements, texts, or lists of them.
export function h(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (value === false || value === null || value === undefined) continue;
    element.setAttribute(key, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter(child => child !== null && child !== undefined && child !== false));
  return element;
}

// change makes an element like another in place, so that focus, what somebody
// is typing, opened details and the reading position of a screen reader stay
// where they are. Children with a data-key are recognized by it.
export function change(old, fresh) {
  if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || keyOf(old) !== keyOf(fresh)) {
    old.replaceWith(fresh);
    return;
  }
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
    return;
  }
  changeAttributes(old, fresh);
  changeChildren(old, [...fresh.childNodes]);
}

// changeChildren makes the children of an element like those of a list.
export function changeChildren(parent, fresh) {
  const kept = new Set(fresh.map(keyOf));
  const keyed = new Map();
  for (const node of [...parent.childNodes].filter(keyOf)) {
    if (kept.has(keyOf(node))) keyed.set(keyOf(node), node);
    else node.remove(); // first, so that the others need not be moved
  }
  fresh.forEach((node, i) => {
    const here = parent.childNodes[i];
    const known = keyed.get(keyOf(node));
    if (known && known !== here) parent.insertBefore(known, here ?? null);
    if (known || (here && !keyOf(here) && !keyOf(node))) change(parent.childNodes[i], node);
    else parent.insertBefore(node, here ?? null);
  });
  while (parent.childNodes.length > fresh.length) parent.lastChild.remove();
}

const keyOf = node => node.dataset?.key;

// What people have done to an element is theirs.
const theirs = new Set(["open", "checked"]);

function changeAttributes(old, fresh) {
  for (const {name, value} of fresh.attributes) {
    if (old.getAttribute(name) === value || theirs.has(name)) continue;
    old.setAttribute(name, value);
    if (name === "value" && old.localName === "input") old.value = value; // whatever was typed before
  }
  for (const {name} of [...old.attributes]) {
    if (!fresh.hasAttribute(name) && !theirs.has(name)) old.removeAttribute(name);
  }
}
