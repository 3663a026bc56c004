// A JSON value to look into, part by part; what it is made of is the text that was given.
import { useState } from "preact/hooks";

import { type Member, members, pretty } from "./json";
import { copy } from "./ui";

const AT_ONCE = 100;
const LONG = 300;

function Leaf({ text }: { text: string }) {
  const [whole, showWhole] = useState(false);
  // Escapes that nobody needs make it harder to read.
  if (text[0] === '"') text = JSON.stringify(JSON.parse(text));
  const kind = text[0] === '"' ? "string" : /^[-\d]/.test(text) ? "number" : "word";
  if (whole || text.length <= LONG) return <span class={`leaf ${kind}`}>{text}</span>;
  return (
    <>
      <span class={`leaf ${kind}`}>{text.slice(0, LONG)}…</span>{" "}
      <button class="small" onClick={() => showWhole(true)}>all {text.length} characters</button>
    </>
  );
}

function Part({ text, part, opened }: { text: string; part: Member; opened?: boolean }) {
  const [open, setOpen] = useState(opened ?? false);
  const [most, setMost] = useState(AT_ONCE);
  const mark = text[part.from];
  const name = part.name && <span class="name">{part.name}: </span>;
  if (mark !== "{" && mark !== "[")
    return <>{name}<Leaf text={text.slice(part.from, part.to)} /></>;
  const parts: Member[] = [];
  if (open) {
    for (const one of members(text, part.from)) {
      parts.push(one);
      if (parts.length > most) break;
    }
  }
  const inside = text.slice(part.from + 1, part.to - 1);
  if (!inside.trim()) return <>{name}{mark}{mark === "{" ? "}" : "]"}</>;
  return (
    <details open={open} onToggle={(e) => setOpen(e.currentTarget.open)}>
      <summary>
        {name}
        <span class="faint">{mark}{!open && inside.slice(0, 80) + (mark === "{" ? "}" : "]")}</span>
      </summary>
      <ul>
        {parts.slice(0, most).map((one) => (
          <li key={one.name}><Part text={text} part={one} opened={parts.length < 20 && one.to - one.from < 400} /></li>
        ))}
      </ul>
      {parts.length > most && (
        <button class="small" onClick={() => setMost(most * 10)}>more</button>
      )}
    </details>
  );
}

export function Tree({ label, text }: { label: string; text: string }) {
  return (
    <figure class="tree" aria-label={label}>
      <Part text={text} part={{ name: "", from: 0, to: text.length }} opened />
      <button class="small corner" onClick={() => copy(pretty(text))}>Copy</button>
    </figure>
  );
}
