// One task: where it stands, where its time went, what it is about and what came of it.
import { useEffect, useRef } from "preact/hooks";

import { call, get, post } from "./api";
import { Deliveries } from "./deliveries";
import { memberText } from "./json";
import { after } from "./list";
import { follow, paused, seen } from "./live";
import { draft } from "./new";
import { changed, tick } from "./paint";
import { go, href } from "./route";
import { hidesPayload } from "./session";
import { optionsOf, SNIPPETS } from "./snippets";
import { sent } from "./sse";
import { useServerNames } from "./tasks";
import { Timeline } from "./timeline";
import { Tree } from "./tree";
import {
  type Attempt, type Delivery, type Explanation, isFinal, type Task, type TaskEvent, type Webhook,
} from "./types";
import { confirmed, copy, Fact, say, Trouble, Write } from "./ui";
import { Bar, capital, ms, number, span, State, Time } from "./words";

/** A value that is larger is read when somebody asks for it. */
const AT_ONCE_BYTES = 65_536;
const VALUES = ["payload", "result", "details", "lateResult"] as const;
type Value = (typeof VALUES)[number];
/** How often a task that waits, or what is to be told of it, is looked at again. */
const WAITING_MS = 4_000;
/** What of a long history is shown. */
const EVENTS = 200;

class Watched {
  task: Task | null = null;
  values: Partial<Record<Value, string>> = {};
  attempts: Attempt[] = [];
  events: TaskEvent[] = [];
  why: Explanation | null = null;
  deliveries: Delivery[] = [];
  /** What webhooks are called: those of the tenant are looked up once something is told to one. */
  hooks: Map<string, string>;
  error = "";
  /** Whether values of any size are wanted. */
  whole = false;
  private readonly ended = new AbortController();

  constructor(readonly id: string) {
    this.hooks = new Map([[id, "its own webhook"]]);
    void this.read();
    void this.history();
  }

  end(): void {
    this.ended.abort();
  }

  async read(): Promise<void> {
    const path = `api/tasks/${encodeURIComponent(this.id)}`;
    const { signal } = this.ended;
    try {
      const limit = this.whole ? 0 : AT_ONCE_BYTES;
      const text = await (await call(`${path}?valueLimit=${limit}`, { signal })).text();
      const { payload, result, details, lateResult, ...task } = JSON.parse(text);
      this.task = task;
      for (const name of VALUES) {
        const value = memberText(text, name);
        if (value === undefined) delete this.values[name];
        else this.values[name] = value;
      }
      this.attempts = (await get<{ attempts: Attempt[] }>(`${path}/attempts`, signal)).attempts;
      this.why = isFinal(task.status) ? null : await get<Explanation>(`${path}/explain`, signal);
      this.error = "";
      await this.told();
    } catch (error) {
      if (!signal.aborted) this.error = (error as Error).message;
    }
    changed();
  }

  /** Reads what webhooks were told of it. */
  async told(): Promise<void> {
    const { signal } = this.ended;
    const path = `api/tasks/${encodeURIComponent(this.id)}/deliveries`;
    try {
      const { deliveries } = await get<{ deliveries: Delivery[] }>(path, signal);
      if (deliveries.some((one) => !this.hooks.has(one.webhookId))) {
        const { webhooks } = await get<{ webhooks: Webhook[] }>("api/webhooks", signal);
        // One that is gone is known by its id alone.
        for (const one of deliveries) if (!this.hooks.has(one.webhookId)) this.hooks.set(one.webhookId, one.webhookId);
        for (const one of webhooks) this.hooks.set(one.id, one.url);
      }
      this.deliveries = deliveries;
    } catch (error) {
      if (!signal.aborted) this.error = (error as Error).message;
    }
    changed();
  }

  async readWhole(): Promise<void> {
    this.whole = true;
    await this.read();
  }

  /** Reads what has happened; what happens from now on comes over the one stream. */
  async history(): Promise<void> {
    const after = this.events.at(-1)?.seq ?? 0;
    const path = `api/tasks/${encodeURIComponent(this.id)}/events?withoutWaiting=true&after=${after}`;
    try {
      const answer = await call(path, { signal: this.ended.signal });
      if (answer.status === 204) return;
      for await (const { event, data } of sent(answer)) {
        if (event !== "error" && event !== "queued") this.add(JSON.parse(data));
      }
    } catch {
      // The task is not there, which its own look-up says, or the gateway is not, as the badge does.
    }
    changed();
  }

  add(event: TaskEvent): void {
    const last = this.events.at(-1)?.seq ?? 0;
    if (event.seq <= last) return;
    this.events = [...this.events.slice(1 - EVENTS), event];
  }

  take(event: TaskEvent): void {
    const last = this.events.at(-1)?.seq ?? 0;
    if (event.seq > last + 1) void this.history();
    else this.add(event);
    if (this.task) this.task = after(this.task, event);
    // Attempts, values and reasons are the gateway's to tell.
    if (event.kind !== "PROGRESSED") void this.read();
    changed();
  }
}

function useWatched(id: string): Watched {
  const made = useRef<Watched>(null);
  if (made.current?.id !== id) {
    made.current?.end();
    made.current = new Watched(id);
  }
  const watched = made.current!;
  useEffect(() => {
    const leave = follow({
      change: (event) => event?.taskId === id && watched.take(event),
      renew: () => {
        void watched.read();
        void watched.history();
      },
    });
    // Why it waits, and where, changes without any event of its own.
    const timer = setInterval(() => {
      if (!seen.value || paused.value) return;
      if (watched.task?.status === "PENDING") void watched.read();
      else if (watched.deliveries.some((one) => one.state === "WAITING")) void watched.told();
    }, WAITING_MS);
    return () => {
      leave();
      clearInterval(timer);
      watched.end();
    };
  }, [watched]);
  tick.value;
  return watched;
}

function Values({ watched }: { watched: Watched }) {
  tick.value;
  const names: Record<Value, string> = {
    payload: "Payload", result: "Result", details: "Details of the error", lateResult: "Late result: it came after the time-out",
  };
  return (
    <>
      {VALUES.map((name) => {
        const text = watched.values[name];
        const size = watched.task?.leftOut?.[name];
        if (text === undefined && !size) return null;
        return (
          <section>
            <h2>{names[name]}</h2>
            {hidesPayload
              ? <p class="faint">Hidden by this gateway's settings.</p>
              : text === undefined
                ? <button onClick={() => watched.readWhole()}>Show {number(Math.ceil(size! / 1_024))} KiB</button>
                : <Tree label={names[name]} text={text} />}
          </section>
        );
      })}
    </>
  );
}

function Actions({ watched }: { watched: Watched }) {
  tick.value;
  const task = watched.task!;
  const cancel = async () => {
    const reason = await confirmed({
      title: "Cancel this task?", text: "What runs is told to stop; what it did is lost.",
      action: "Cancel the task", danger: true, line: "Reason",
    });
    if (reason === null) return;
    await post(`api/tasks/${task.id}/cancel`, { reason });
    say("Cancelled");
    await watched.read();
  };
  const retry = async () => {
    await post(`api/tasks/${task.id}/retry`);
    say("It waits again");
    await watched.read();
  };
  const payload = async () => {
    if (watched.values.payload === undefined) await watched.readWhole();
    return watched.values.payload ?? "{}";
  };
  const again = async () => {
    draft.value = { type: task.type, payload: await payload(), options: optionsOf(task) };
    go(href("new"));
  };
  const ended = isFinal(task.status);
  return (
    <p class="buttons">
      {!ended && <Write danger act={cancel}>Cancel…</Write>}
      {ended && task.status !== "COMPLETED" && <Write act={retry}>Retry</Write>}
      {!hidesPayload && (
        <>
          <Write act={again}>Run again…</Write>
          {Object.entries(SNIPPETS).map(([name, print]) => (
            <Write act={async () => copy(print(task, await payload()))}>Copy as {name}</Write>
          ))}
        </>
      )}
    </p>
  );
}

function Facts({ task, names }: { task: Task; names: Map<string, string> }) {
  const labels = Object.entries(task.labels);
  return (
    <dl class="facts">
      <Fact name="Type"><a href={href("tasks", "", { filter: `type:${task.type}` })}>{task.type}</a></Fact>
      <Fact name="Tenant">{task.tenant}</Fact>
      <Fact name="Server">{task.serverId ? <a href={href("servers", task.serverId)}>{names.get(task.serverId) ?? task.serverId}</a> : "none yet"}</Fact>
      <Fact name="Attempt">{task.attempt} of {task.maxAttempts}</Fact>
      <Fact name="Priority">{task.priority}</Fact>
      <Fact name="Created"><Time at={task.createdAt} /></Fact>
      <Fact name="Ended"><Time at={task.finishedAt} /></Fact>
      {ms(task.notBefore) > 0 && <Fact name="Not before"><Time at={task.notBefore} /></Fact>}
      <Fact name="Time limits">{span(task.timeout)} an attempt, {span(task.queueTimeout)} in line</Fact>
      <Fact name="Runs twice without harm">{task.idempotent ? "yes" : "no"}</Fact>
      {labels.length > 0 && (
        <Fact name="Labels">
          {labels.map(([name, value]) => (
            <a class="tag" href={href("tasks", "", { filter: `label.${name}:${value}` })}>{name}: {value}</a>
          ))}
        </Fact>
      )}
      {task.traceId && <Fact name="Trace"><code>{task.traceId}</code></Fact>}
      {task.capabilities.length > 0 && <Fact name="Needs">{task.capabilities.join(", ")}</Fact>}
    </dl>
  );
}

export const Remedy = ({ of }: { of: string | undefined }) =>
  of ? <strong class="remedy">{of}</strong> : null;

export function Why({ of }: { of: Explanation }) {
  return (
    <>
      <p>{of.text}<Remedy of={of.remedy} /></p>
      {of.servers.length > 0 && (
        <table>
          <thead><tr><th scope="col">Server</th><th scope="col">Verdict</th><th scope="col">Why</th></tr></thead>
          <tbody>
            {of.servers.map((one) => (
              <tr key={one.serverId}>
                <td><a href={href("servers", one.serverId)}>{one.name}</a></td>
                <td><State of={one.rule} /></td>
                <td>{one.text}<Remedy of={one.remedy} /></td>
              </tr>
            ))}
          </tbody>
        </table>
      )}
    </>
  );
}

function Attempts({ of, names }: { of: Attempt[]; names: Map<string, string> }) {
  return (
    <table>
      <thead><tr>{["No.", "Outcome", "Server", "Began", "Ran", "Why"].map((one) => <th scope="col">{one}</th>)}</tr></thead>
      <tbody>
        {of.map((one) => (
          <tr key={one.number}>
            <td>{one.number}</td>
            <td><State of={one.outcome} /></td>
            <td>{names.get(one.serverId ?? "") ?? one.serverId}</td>
            <td><Time at={one.startedAt} /></td>
            <td>{one.endedAt ? span(ms(one.endedAt) - ms(one.startedAt)) : ""}</td>
            <td>{one.error}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

function Events({ of }: { of: TaskEvent[] }) {
  return (
    <table>
      <thead><tr>{["No.", "When", "What", "Progress", "Says"].map((one) => <th scope="col">{one}</th>)}</tr></thead>
      <tbody>
        {[...of].reverse().map((one) => (
          <tr key={one.seq}>
            <td>{one.seq}</td>
            <td><Time at={one.time} /></td>
            <td>{one.kind === "FINISHED" ? <State of={one.status} /> : capital(one.kind)}</td>
            <td>{one.progress ? `${Math.floor(one.progress)} %` : ""}</td>
            <td>{one.message}</td>
          </tr>
        ))}
      </tbody>
    </table>
  );
}

export function TaskPage({ id }: { id: string }) {
  const watched = useWatched(id);
  const names = useServerNames();
  const { task, why, attempts, events, deliveries, hooks } = watched;
  return (
    <main>
      <p class="crumbs"><a href={href("tasks")}>Tasks</a></p>
      <h1 class="mono">{id} <button class="small" onClick={() => copy(id)}>Copy</button></h1>
      <Trouble of={watched.error} />
      {task && (
        <>
          <div class="standing" aria-live="polite">
            <State of={task.status} />
            {task.status === "PROCESSING" && (
              <><Bar part={task.progress / 100} label="Progress" /> {Math.floor(task.progress)} %</>
            )}
            {task.queuePosition && <span>#{number(task.queuePosition)} in line</span>}
            <span class="said">{task.error || task.message}</span>
            {task.code && <code>{task.code}</code>}
          </div>
          <Actions watched={watched} />
          <Timeline task={task} attempts={attempts} />
          <div class="columns">
            <div>
              <section><h2>About it</h2><Facts task={task} names={names} /></section>
              {why && <section><h2>Why it is where it is</h2><Why of={why} /></section>}
              {attempts.length > 0 && <section><h2>Attempts</h2><Attempts of={attempts} names={names} /></section>}
              {deliveries.length > 0 && (
                <section>
                  <h2>Told to webhooks</h2>
                  <Deliveries of={deliveries} hooks={hooks} again={() => watched.told()} />
                </section>
              )}
              <section><h2>Events</h2><Events of={events} /></section>
            </div>
            <div><Values watched={watched} /></div>
          </div>
        </>
      )}
    </main>
  );
}
