// What all pages are made of: polls, dialogs, words that pass by, buttons that write.
import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";

import { get } from "./api";
import { paused, seen } from "./live";
import { changed, tick } from "./paint";

export interface Polled<T> {
  data?: T;
  error?: string;
  /** Asks at once. */
  again: () => void;
}

/** Asks for a path again and again while it can be seen; null asks for nothing.
 *  `more` gives the rest of the query each time. */
export function usePoll<T>(path: string | null, everyMs: number, more = () => ""): Polled<T> {
  const found = useRef<{ data?: T; error?: string; of?: string | null }>({});
  const [asked, askAgain] = useState(0);
  tick.value;
  useEffect(() => {
    if (!path || !seen.value || paused.value) return;
    const stop = new AbortController();
    let timer = 0;
    const ask = async () => {
      try {
        found.current = { data: await get<T>(path + more(), stop.signal), of: path };
      } catch (error) {
        if (stop.signal.aborted) return;
        found.current = { ...found.current, error: (error as Error).message };
      }
      changed();
      if (!stop.signal.aborted) timer = window.setTimeout(ask, everyMs);
    };
    void ask();
    return () => {
      stop.abort();
      clearTimeout(timer);
    };
  }, [path, seen.value, paused.value, asked]);
  return { ...found.current, again: () => askAgain(asked + 1) };
}

interface Said {
  text: string;
  bad: boolean;
}

const said = signal<Said | null>(null);
let forgetting = 0;

/** Says something in passing. */
export function say(text: string, bad = false): void {
  said.value = { text, bad };
  clearTimeout(forgetting);
  forgetting = window.setTimeout(() => (said.value = null), bad ? 10_000 : 5_000);
}

export function Passing() {
  const word = said.value;
  return (
    <div role="status" class={`passing ${word?.bad ? "bad" : ""}`} hidden={!word}>
      {word?.text}
    </div>
  );
}

interface Question {
  title: string;
  text: ComponentChildren;
  /** The word on the button. */
  action: string;
  danger?: boolean;
  /** What a line of text is asked for; none when there is nothing to say. */
  line?: string;
}

const question = signal<(Question & { answer: (line: string | null) => void }) | null>(null);

/** Asks before something is done; gives the line that was typed, or null for no. */
export function confirmed(asked: Question): Promise<string | null> {
  return new Promise((answer) => (question.value = { ...asked, answer }));
}

export function Dialog({ title, close, children }: {
  title: string; close: () => void; children: ComponentChildren;
}) {
  const place = useRef<HTMLDialogElement>(null);
  useEffect(() => place.current?.showModal(), []);
  return (
    <dialog ref={place} aria-labelledby="dialog-title" onClose={close}>
      <h2 id="dialog-title">{title}</h2>
      {children}
    </dialog>
  );
}

export function Asking() {
  const [line, setLine] = useState("");
  const asked = question.value;
  if (!asked) return null;
  const end = (answer: string | null) => {
    question.value = null;
    setLine("");
    asked.answer(answer);
  };
  return (
    <Dialog title={asked.title} close={() => end(null)}>
      <p>{asked.text}</p>
      {asked.line && (
        <label>
          {asked.line}
          <input value={line} maxLength={255} onInput={(e) => setLine(e.currentTarget.value)} />
        </label>
      )}
      <p class="buttons">
        <button onClick={() => end(null)}>Leave it</button>
        <button class={asked.danger ? "danger" : "main"} autofocus onClick={() => end(line)}>
          {asked.action}
        </button>
      </p>
    </Dialog>
  );
}

/** A button that writes: not twice at once, and what is refused is said. */
export function Write({ children, act, danger, small }: {
  children: ComponentChildren; act: () => Promise<unknown>; danger?: boolean; small?: boolean;
}) {
  const [busy, setBusy] = useState(false);
  const run = async () => {
    setBusy(true);
    try {
      await act();
    } catch (error) {
      say((error as Error).message, true);
    } finally {
      setBusy(false);
    }
  };
  return (
    <button class={`${danger ? "danger" : ""} ${small ? "small" : ""}`} disabled={busy} onClick={run}>
      {children}
    </button>
  );
}

export async function copy(text: string): Promise<void> {
  try {
    await navigator.clipboard.writeText(text);
    say("Copied");
  } catch {
    say("The browser lets no page copy that came over plain HTTP from elsewhere", true);
  }
}

/** Says why what is shown may be old. */
export function Trouble({ of }: { of: string | undefined }) {
  return of ? <p role="alert" class="trouble">{of}</p> : null;
}

export const Fact = ({ name, children }: { name: string; children: ComponentChildren }) => (
  <div><dt>{name}</dt><dd>{children}</dd></div>
);
