// How things are said: times, numbers, and states by word and shape as well as by colour.
import { now } from "./paint";
import type { Status } from "./types";

const SHAPES: Record<string, string> = {
  ring: "M8 3a5 5 0 1 0 0 10A5 5 0 0 0 8 3z",
  half: "M8 3a5 5 0 1 0 0 10A5 5 0 0 0 8 3zM8 3v10",
  check: "M3 8.5l3.5 3.5L13 5",
  cross: "M4 4l8 8M12 4l-8 8",
  glass: "M4 3h8L4 13h8z",
  bar: "M8 3a5 5 0 1 0 0 10A5 5 0 0 0 8 3zM4.5 11.5l7-7",
  pause: "M5.5 4v8M10.5 4v8",
  alert: "M8 2.5L14 13H2zM8 6.5v3M8 11.2v.3",
};

/** How each state looks: a shape, a tone, and where it is not its own name, a word. */
const LOOKS: Record<string, [shape: string, tone: string, word?: string]> = {
  PENDING: ["ring", "calm", "Waiting"],
  PROCESSING: ["half", "busy", "Running"],
  RUNNING: ["half", "busy"],
  COMPLETED: ["check", "good"],
  SUCCEEDED: ["check", "good"],
  DELIVERED: ["check", "good"],
  FAILED: ["cross", "bad"],
  REJECTED: ["cross", "bad"],
  LOST: ["cross", "bad"],
  AMBIGUOUS: ["alert", "warn"],
  REFUSED: ["bar", "warn"],
  TIMEOUT: ["glass", "bad", "Timed out"],
  TIMED_OUT: ["glass", "bad", "Timed out"],
  CANCELLED: ["bar", "calm"],
  ABORTED: ["bar", "calm"],
  active: ["check", "good"],
  degraded: ["alert", "warn"],
  offline: ["cross", "bad"],
  draining: ["pause", "warn"],
  resting: ["glass", "warn"],
  paused: ["pause", "warn"],
  open: ["check", "good"],
  ELIGIBLE: ["check", "good"],
  live: ["check", "good"],
  connecting: ["ring", "calm"],
  reconnecting: ["alert", "warn"],
  stale: ["glass", "bad"],
};

export const capital = (word: string) =>
  word.charAt(0).toUpperCase() + word.slice(1).toLowerCase().replaceAll("_", " ");

export function Icon({ shape }: { shape: string }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" aria-hidden="true">
      <path d={SHAPES[shape]} />
    </svg>
  );
}

export function State({ of, word }: { of: Status | string; word?: string | undefined }) {
  const [shape, tone, own] = LOOKS[of] ?? ["ring", "calm"];
  return (
    <span class={`state ${tone}`}>
      <Icon shape={shape} />
      {word ?? own ?? capital(of)}
    </span>
  );
}

export const ms = (time: string | undefined) => (time ? Date.parse(time) : 0);

/** Prints a span in its two largest units. */
export function span(length: number): string {
  const s = Math.max(0, length) / 1_000;
  if (s < 0.9995) return `${Math.round(s * 1_000)} ms`;
  if (s < 60) return `${s < 10 ? s.toFixed(1).replace(".0", "") : Math.floor(s)} s`;
  const units: [number, string][] = [[86_400, "d"], [3_600, "h"], [60, "min"], [1, "s"]];
  const place = units.findIndex(([size]) => s >= size);
  const [size, name] = units[place]!;
  const next = units[place + 1]!;
  const rest = Math.floor((s % size) / next[0]);
  return `${Math.floor(s / size)} ${name}${rest ? ` ${rest} ${next[1]}` : ""}`;
}

const TIME = new Intl.DateTimeFormat(undefined, { timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric" });

/** Prints a time of today as such, any other with its day. */
export function clock(at: number): string {
  const date = new Date(at);
  const today = date.toDateString() === new Date(now.peek()).toDateString();
  return (today ? "" : `${DAY.format(date)}, `) + TIME.format(date);
}

export function Time({ at }: { at: string | number | undefined }) {
  const when = typeof at === "number" ? at : ms(at);
  if (!when) return <span class="faint">–</span>;
  return <time dateTime={new Date(when).toISOString()}>{clock(when)}</time>;
}

/** How long ago something was; whole seconds, for it counts on. */
export function Ago({ at }: { at: string | number | undefined }) {
  const when = typeof at === "number" ? at : ms(at);
  if (!when) return <span class="faint">never</span>;
  const age = now.value - when;
  return (
    <time dateTime={new Date(when).toISOString()} title={clock(when)}>
      {age < 2_000 ? "now" : `${span(age).replace(/\.\d/, "")} ago`}
    </time>
  );
}

export const number = (value: number) => value.toLocaleString("en").replaceAll(",", "\u202f");

export function Bar({ part, label }: { part: number; label: string }) {
  const percent = Math.round(Math.min(1, Math.max(0, part)) * 100);
  return (
    <span class="bar" role="progressbar" aria-label={label} aria-valuenow={percent}
      aria-valuemin={0} aria-valuemax={100}>
      <span style={{ width: `${percent}%` }} />
    </span>
  );
}
