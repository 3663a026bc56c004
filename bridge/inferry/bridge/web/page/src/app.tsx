// The frame around all pages: where one can go, how the stream stands, who one is.
import "./style.css";

import { computed, effect, signal } from "@preact/signals";
import { type ComponentChild, render } from "preact";
import { useState } from "preact/hooks";

import { keep, notice, token } from "./api";
import { Failures } from "./failures";
import { Types } from "./kinds";
import { heardAt, paused, SILENCE_MS, state } from "./live";
import { NewTask } from "./new";
import { Now } from "./now";
import { now } from "./paint";
import { go, href, route } from "./route";
import { Servers } from "./servers";
import { exchangeCode, isAdmin, mayTasks, who } from "./session";
import { TaskPage } from "./task";
import { Tasks } from "./tasks";
import { Asking, Dialog, Passing } from "./ui";
import { clock, Icon, State } from "./words";

interface Place {
  name: string;
  word: string;
  may: { value: boolean };
}

const everybody = { value: true };
const PLACES: Place[] = [
  { name: "now", word: "Now", may: isAdmin },
  { name: "tasks", word: "Tasks", may: mayTasks },
  { name: "failures", word: "Failures", may: isAdmin },
  { name: "servers", word: "Servers", may: everybody },
  { name: "types", word: "Types", may: isAdmin },
  { name: "new", word: "New task", may: mayTasks },
];

/** The page that is shown. */
const here = computed(() => route.value.page || PLACES.find((one) => one.may.value)!.name);

const KEYS: [string, string][] = [
  ["j  k", "the next row, the one before"],
  ["Enter", "opens it"],
  ["/", "the filter"],
  ["1 to 6", "the pages"],
  ["?", "this list"],
  ["Esc", "closes it"],
];

const helping = signal(false);

function Badge() {
  const silent = now.value - heardAt.value > SILENCE_MS;
  const stale = state.value !== "paused" && silent;
  const word = stale ? `Stale since ${clock(heardAt.value)}` : undefined;
  return (
    <button class="badge" aria-pressed={paused.value} title={paused.value ? "Go on" : "Pause"}
      onClick={() => (paused.value = !paused.value)}>
      <State of={stale ? "stale" : state.value} {...(word ? { word } : {})} />
    </button>
  );
}

const THEMES = ["light dark", "light", "dark"];
const theme = signal(localStorage.getItem("inferry-theme") ?? THEMES[0]!);

effect(() => {
  document.documentElement.style.colorScheme = theme.value;
  localStorage.setItem("inferry-theme", theme.value);
});

function Theme() {
  const next = THEMES[(THEMES.indexOf(theme.value) + 1) % THEMES.length]!;
  const word = theme.value.includes(" ") ? "Theme: auto" : `Theme: ${theme.value}`;
  return <button title="Light, dark, or as the system has it" onClick={() => (theme.value = next)}>{word}</button>;
}

function Frame({ children }: { children: ComponentChild }) {
  const page = here.value;
  return (
    <>
      <header>
        <a class="brand" href={href("")}>Inferry</a>
        <nav aria-label="Pages">
          {PLACES.filter((one) => one.may.value).map(({ name, word }) => (
            <a href={href(name)} aria-current={name === page || `${page}s` === name ? "page" : undefined}>{word}</a>
          ))}
        </nav>
        {mayTasks.value && <Badge />}
        <Theme />
        <button aria-label="Keys" onClick={() => (helping.value = true)}>?</button>
        <span class="who" title={`Tenant ${who.value!.tenant}`}>{who.value!.subject} · {who.value!.roles.join(", ") || "no role"}</span>
        <button onClick={() => keep("")}>Sign out</button>
      </header>
      {children}
    </>
  );
}

function SignIn() {
  const [typed, type] = useState("");
  return (
    <main class="sign">
      <h1>Inferry</h1>
      <p role="alert" class="bad">{notice.value}</p>
      <form onSubmit={(e) => (e.preventDefault(), keep(typed.trim().replace(/^Bearer\s+/i, "")))}>
        <label>
          Token
          <input type="password" autocomplete="off" required autofocus value={typed}
            onInput={(e) => type(e.currentTarget.value)} />
        </label>
        <button class="main">Sign in</button>
      </form>
      <p class="faint">
        <code>inferry ui</code> opens this page signed in; <code>inferry token</code> prints a token.
        It stays in this tab alone, until that is closed.
      </p>
    </main>
  );
}

function Help() {
  if (!helping.value) return null;
  return (
    <Dialog title="Keys" close={() => (helping.value = false)}>
      <dl class="keys">
        {KEYS.map(([key, what]) => <div><dt><kbd>{key}</kbd></dt><dd>{what}</dd></div>)}
      </dl>
      <p class="faint"><a href="notices.txt">What others wrote of this page</a></p>
      <p class="buttons"><button autofocus onClick={() => (helping.value = false)}>Close</button></p>
    </Dialog>
  );
}

function Page() {
  const [page, { id }] = [here.value, route.value];
  const place = PLACES.find((one) => one.name === page);
  if ((place && !place.may.value) || (page === "task" && !mayTasks.value)) {
    return <main><p class="empty">Your token's role may not see this. <a href={href("servers")}>Servers</a> are for all.</p></main>;
  }
  switch (page) {
    case "now": return <Now />;
    case "tasks": return <Tasks />;
    case "task": return <TaskPage id={id} key={id} />;
    case "failures": return <Failures />;
    case "servers": return <Servers id={id} />;
    case "types": return <Types />;
    case "new": return <NewTask />;
    default: return <main><p class="empty"><Icon shape="alert" /> There is no such page.</p></main>;
  }
}

function App() {
  if (!token.value) return <SignIn />;
  if (!who.value) return <main class="sign"><p role="status">{notice.value || "Asking the gateway who you are…"}</p></main>;
  return <><Frame><Page /></Frame><Asking /><Help /><Passing /></>;
}

addEventListener("keydown", (e) => {
  const typing = (e.target as HTMLElement).closest("input, textarea, select, dialog");
  if (typing || e.ctrlKey || e.metaKey || e.altKey || !who.value) return;
  const place = PLACES.filter((one) => one.may.value)[Number(e.key) - 1];
  if (place) go(href(place.name));
  else if (e.key === "?") helping.value = true;
  else if (e.key === "/") document.getElementById("filter")?.focus();
  else if (e.key === "j" || e.key === "k") step(e.key === "j" ? 1 : -1);
  else return;
  e.preventDefault();
});

/** Goes to the next row of what is listed; Enter follows its link by itself. */
function step(by: number): void {
  const rows = [...document.querySelectorAll<HTMLElement>("a.row")];
  const here = rows.indexOf(document.activeElement as HTMLElement);
  rows[here < 0 ? 0 : here + by]?.focus();
}

effect(() => {
  const place = PLACES.find((one) => one.name === here.value);
  document.title = `${place?.word ?? (route.value.id || "Inferry")} · Inferry`;
});

await exchangeCode();
render(<App />, document.body);
