// How numbers, times and lifetimes are written.

const units = [["d", 86400], ["h", 3600], ["m", 60], ["s", 1]];

// duration writes seconds in their two largest units.
export function duration(seconds) {
  let rest = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [name, size] of units) {
    const count = Math.floor(rest / size);
    rest -= count * size;
    if (count > 0) parts.push(`${count}${name}`);
    else if (parts.length > 0) break;
    if (parts.length === 2) break;
  }
  return parts.join(" ") || "0s";
}

export const number = n => n.toLocaleString("en");

// count writes a number of things.
export const count = (n, thing) => `${number(n)} ${thing}${n === 1 ? "" : "s"}`;

// ago writes how long ago a time was.
export function ago(time, now) {
  const seconds = (now - Date.parse(time)) / 1000;
  return seconds < 1 ? "just now" : `${duration(seconds)} ago`;
}
