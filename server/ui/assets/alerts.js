// The alerts of the configuration and what state each is in.

import {attempt} from "./api.js";
import {h} from "./dom.js";
import {ago, duration} from "./format.js";
import {empty, problem, table} from "./parts.js";

export const title = "Alerts";
export const pace = 5; // seconds

// looks is how a state looks; those that want attention come first.
const looks = {
  firing: ["bad", "● firing"],
  pending: ["warn", "◐ pending"],
  resolved: ["good", "✓ resolved"],
  inactive: ["quiet", "○ inactive"],
};
const order = Object.keys(looks);

export async function load(client, _, signal) { return attempt(client.get("sys/alerts", signal)); }

export function render({value, error}, now) {
  const heading = h("h2", {}, "Alerts");
  if (error) return [heading, problem("The alerts cannot be shown", error)];
  const alerts = value.data.alerts.toSorted((a, b) => order.indexOf(a.state) - order.indexOf(b.state));
  if (alerts.length === 0) return [heading, empty("There are no alerts. Write some in alerts of the configuration.")];
  return [heading, table("Alerts", ["Alert", "State", "Condition", "Value", "Severity", "Told"], alerts.map(alert => row(alert, now)))];
}

function row(alert, now) {
  const [look, text] = looks[alert.state] ?? ["quiet", alert.state];
  const condition = [h("code", {}, alert.condition), alert.for > 0 && h("small", {}, `for ${duration(alert.for)}`)];
  return {
    key: alert.name,
    cells: [
      [alert.name, alert.description && h("small", {}, alert.description)],
      [h("span", {class: `badge ${look}`}, text), alert.since && h("small", {title: alert.since}, `since ${ago(alert.since, now).replace(" ago", "")}`)],
      condition, String(Math.round(alert.value * 100) / 100), alert.severity || "",
      [(alert.notify ?? []).join(", "), alert.error && h("small", {class: "bad"}, alert.error)],
    ],
  };
}
