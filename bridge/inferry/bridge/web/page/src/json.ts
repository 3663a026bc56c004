// JSON as the text that it is: numbers keep all their digits, members their order, and nothing is
// read before somebody looks at it.

export interface Member {
  /** The name as it is shown; of an item of an array, its place. */
  name: string;
  /** Where the value begins. */
  from: number;
  /** Where it has ended. */
  to: number;
}

function blank(text: string, at: number): number {
  while (at < text.length && " \t\n\r,:".includes(text[at]!)) at++;
  return at;
}

function endOfString(text: string, at: number): number {
  for (;;) {
    at = text.indexOf('"', at + 1);
    if (at < 0) return text.length;
    let slashes = 0;
    while (text[at - 1 - slashes] === "\\") slashes++;
    if (slashes % 2 === 0) return at + 1;
  }
}

/** Finds where the value that begins at `at` has ended. */
export function endOf(text: string, at: number): number {
  if (text[at] === '"') return endOfString(text, at);
  const mark = /["{}[\]]/g;
  if (text[at] !== "{" && text[at] !== "[") {
    mark.lastIndex = at;
    const rest = /[\s,\]}]/g;
    rest.lastIndex = at;
    return rest.exec(text)?.index ?? text.length;
  }
  mark.lastIndex = at;
  let depth = 0;
  for (let found = mark.exec(text); found; found = mark.exec(text)) {
    if (found[0] === '"') mark.lastIndex = endOfString(text, found.index);
    else {
      depth += found[0] === "{" || found[0] === "[" ? 1 : -1;
      if (depth === 0) return found.index + 1;
    }
  }
  return text.length;
}

/** Goes through what an object or array that begins at `at` has. */
export function* members(text: string, at: number): Generator<Member> {
  const named = text[at] === "{";
  at = blank(text, at + 1);
  for (let place = 0; at < text.length && text[at] !== "}" && text[at] !== "]"; place++) {
    let name = String(place);
    if (named) {
      const end = endOfString(text, at);
      name = JSON.parse(text.slice(at, end));
      at = blank(text, end);
    }
    const to = endOf(text, at);
    yield { name, from: at, to };
    at = blank(text, to);
  }
}

/** Gives the text of a member of an object; undefined when it has none of this name. */
export function memberText(text: string, name: string): string | undefined {
  for (const one of members(text, blank(text, 0))) {
    if (one.name === name) return text.slice(one.from, one.to);
  }
  return undefined;
}

/** Prints JSON over several lines, its values untouched. */
export function pretty(text: string, indent = "", at = blank(text, 0)): string {
  const [open] = text.slice(at, at + 1);
  if (open !== "{" && open !== "[") return text.slice(at, endOf(text, at));
  const deeper = `${indent}  `;
  const parts = [...members(text, at)].map(({ name, from }) => {
    const value = pretty(text, deeper, from);
    return deeper + (open === "{" ? `${JSON.stringify(name)}: ${value}` : value);
  });
  const close = open === "{" ? "}" : "]";
  return parts.length ? `${open}\n${parts.join(",\n")}\n${indent}${close}` : open + close;
}

/** Says what is wrong with a text that should be a JSON object; empty when nothing is. */
export function flawOf(text: string): string {
  try {
    const value = JSON.parse(text);
    return value && typeof value === "object" && !Array.isArray(value) ? "" : "not a JSON object";
  } catch (error) {
    return (error as Error).message;
  }
}
