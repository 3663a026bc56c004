// A new task: what the form says is the request, and the payload is sent as it was typed.
import { signal } from "@preact/signals";
import { useState } from "preact/hooks";

import { post } from "./api";
import { flawOf, pretty } from "./json";
import { go, href } from "./route";
import { isAdmin } from "./session";
import { bodyOf } from "./snippets";
import type { Queue, Server, Task } from "./types";
import { Trouble, usePoll } from "./ui";

interface Draft {
  type: string;
  payload: string;
  options: Record<string, unknown>;
}

const EMPTY: Draft = { type: "", payload: "{}", options: {} };
/** What "run again" fills the form with; it stays while one looks elsewhere. */
export const draft = signal<Draft>(EMPTY);

const NUMBERS: [name: string, says: string, min: number, max: number][] = [
  ["priority", "Priority, 0 (last) to 9", 0, 9],
  ["timeout", "Time for an attempt, ms", 1, 86_400_000],
  ["queueTimeout", "Time in line, ms", 1, 86_400_000],
  ["maxAttempts", "Attempts at most", 1, 100],
  ["delayMs", "Not before so many ms", 0, 86_400_000],
];

const words = (value: unknown) =>
  Object.entries((value ?? {}) as Record<string, string>).map(([k, v]) => `${k}=${v}`).join(" ");

/** Reads `key=value` words; undefined when one is none. */
function pairs(text: string): Record<string, string> | undefined {
  const parts = text.split(/\s+/).filter(Boolean).map((word) => word.split(/=(.*)/s));
  if (parts.some(([key, value]) => !key || value === undefined)) return undefined;
  return Object.fromEntries(parts.map(([key, value]) => [key, value]));
}

export function NewTask() {
  const [type, setType] = useState(draft.value.type);
  const [payload, setPayload] = useState(() => pretty(draft.value.payload));
  const [options, setOptions] = useState(draft.value.options);
  const [labels, setLabels] = useState(words(draft.value.options.labels));
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const servers = usePoll<{ servers: Server[] }>("api/servers?pageSize=500", 30_000);
  const queue = usePoll<Queue>(isAdmin.value ? "api/queue" : null, 30_000);
  const known = new Set([
    ...(servers.data?.servers.flatMap((one) => one.capabilities) ?? []),
    ...(queue.data?.types.map((one) => one.type) ?? []),
  ]);
  const flaw = flawOf(payload);
  const read = pairs(labels);
  const set = (name: string, value: unknown) => setOptions({ ...options, [name]: value });
  const create = async () => {
    setBusy(true);
    try {
      const body = bodyOf(type.trim(), payload, { ...options, labels: read });
      const task = await post<Task>("api/tasks", body);
      draft.value = EMPTY;
      go(href("task", task.id));
    } catch (refused) {
      setError((refused as Error).message);
      setBusy(false);
    }
  };
  return (
    <main class="narrow">
      <h1>New task</h1>
      <Trouble of={error} />
      <form class="new" onSubmit={(e) => (e.preventDefault(), void create())}>
        <label>
          Type
          <input value={type} required maxLength={128} list="types" spellcheck={false}
            onInput={(e) => setType(e.currentTarget.value)} />
        </label>
        <datalist id="types">{[...known].sort().map((one) => <option value={one} />)}</datalist>
        <label>
          Payload
          <textarea class="mono" rows={12} value={payload} spellcheck={false} aria-invalid={!!flaw}
            aria-describedby="flaw" onInput={(e) => setPayload(e.currentTarget.value)} />
        </label>
        <p id="flaw" class={flaw ? "bad" : "faint"} aria-live="polite">
          {flaw || "A JSON object; it reaches the server as it stands here."}
        </p>
        <fieldset>
          <legend>Options; what is left empty is as the gateway has it</legend>
          {NUMBERS.map(([name, says, min, max]) => (
            <label>
              {says}
              <input type="number" min={min} max={max} value={(options[name] as number) ?? ""}
                onInput={(e) => set(name, e.currentTarget.value ? Number(e.currentTarget.value) : undefined)} />
            </label>
          ))}
          <label>
            Labels, such as team=vision
            <input value={labels} aria-invalid={!read} onInput={(e) => setLabels(e.currentTarget.value)} />
          </label>
          <label class="check">
            <input type="checkbox" checked={!!options.idempotent}
              onChange={(e) => set("idempotent", e.currentTarget.checked || undefined)} />
            A second run does no harm
          </label>
        </fieldset>
        <p class="buttons"><button class="main" disabled={busy || !!flaw || !read}>Create it</button></p>
      </form>
    </main>
  );
}
