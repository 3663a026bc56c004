// What happens to tasks, as it happens: one stream for all tabs of a browser that see the same.
// The tab that holds the lock has the stream and passes on what comes; any other takes over from
// where it knows it to be.
import { effect, signal } from "@preact/signals";

import { call, Refused, urlOf } from "./api";
import { mayTasks, who } from "./session";
import { sent } from "./sse";
import type { Task, TaskEvent } from "./types";

export type State = "live" | "reconnecting" | "paused" | "connecting";

interface News {
  tasks: Task[];
  events: TaskEvent[];
  snapshotComplete: boolean;
  cursor?: string;
}

/** How the stream stands. */
export const state = signal<State>("connecting");
/** When anything was last heard from it, in ms. */
export const heardAt = signal(Date.now());
/** Whether its user wants it to stand still. */
export const paused = signal(false);
/** Whether the tab can be seen. */
export const seen = signal(!document.hidden);

document.addEventListener("visibilitychange", () => {
  seen.value = !document.hidden;
});

type Taker = { change(event: TaskEvent | null, task: Task | undefined): void; renew(): void };
const takers = new Set<Taker>();

/** Has something told of each change, and of holes that nobody filled; returns what ends that. */
export function follow(taker: Taker): () => void {
  takers.add(taker);
  return () => takers.delete(taker);
}

/** After so long without a word the stream is not believed any more: a comment comes each 15 s. */
export const SILENCE_MS = 25_000;
const BEAT_MS = 5_000;

/** Where the stream stands, and whose it is. */
let cursor = "";
let holder = "";
let whole = true;

function take(news: News): void {
  for (const task of news.tasks) for (const taker of takers) taker.change(null, task);
  for (const event of news.events) for (const taker of takers) taker.change(event, event.task);
  if (news.cursor) cursor = news.cursor;
  if (news.snapshotComplete) for (const taker of takers) taker.renew();
}

const pause = (ms: number, signal: AbortSignal) =>
  new Promise<void>((resolve) => {
    const timer = setTimeout(resolve, ms);
    signal.addEventListener("abort", () => (clearTimeout(timer), resolve()));
  });

async function lead(channel: BroadcastChannel | null, signal: AbortSignal): Promise<void> {
  const tell = (to: State) => {
    state.value = to;
    channel?.postMessage({ state: to, heard: heardAt.value });
  };
  const beat = setInterval(() => tell(state.value), BEAT_MS);
  if (channel) channel.onmessage = ({ data }) => data.asks && tell(state.value);
  for (let failures = 0; !signal.aborted; ) {
    const lost = new AbortController();
    const stop = () => lost.abort();
    signal.addEventListener("abort", stop);
    let patience = setTimeout(stop, SILENCE_MS);
    const heard = () => {
      heardAt.value = Date.now();
      clearTimeout(patience);
      patience = setTimeout(stop, SILENCE_MS);
    };
    try {
      const path = `api/watch?withoutResults=true${cursor && `&after=${cursor}`}`;
      const answer = await call(path, { signal: lost.signal });
      failures = 0;
      heard();
      tell("live");
      for await (const { event, data } of sent(answer, heard)) {
        if (event === "error") break;
        const news: News = JSON.parse(data);
        channel?.postMessage({ news, from: cursor });
        take(news);
      }
    } catch (error) {
      // Who may not watch need not ask again.
      if (error instanceof Refused && [401, 403].includes(error.status)) break;
    } finally {
      clearTimeout(patience);
      signal.removeEventListener("abort", stop);
      lost.abort();
    }
    if (signal.aborted) break;
    tell("reconnecting");
    await pause(Math.min(5_000, 250 * 2 ** failures++) * (0.5 + Math.random() / 2), signal);
  }
  clearInterval(beat);
}

/** Takes part while somebody looks who may. */
effect(() => {
  const { subject, tenant, roles } = who.value ?? {};
  if (!mayTasks.value || paused.value || !seen.value) {
    state.value = "paused";
    whole = false;
    return;
  }
  state.value = "connecting";
  // Who sees the same things shares them, by the gateway's own word on who that is.
  const name = JSON.stringify(["inferry", urlOf(""), subject, tenant, roles]);
  if (holder !== name) cursor = "";
  holder = name;
  const stop = new AbortController();
  // Neither is there on a page that came over plain HTTP from another machine: a stream a tab then.
  const channel = navigator.locks ? new BroadcastChannel(name) : null;
  if (channel) {
    channel.onmessage = ({ data }) => {
      if (data.news) {
        const missed = cursor && data.from !== cursor;
        take(data.news);
        if (missed) for (const taker of takers) taker.renew();
      }
      if (data.state) state.value = data.state;
      if (!data.asks) heardAt.value = data.heard ?? Date.now();
    };
    channel.postMessage({ asks: true });
    navigator.locks
      .request(name, { signal: stop.signal }, () => lead(channel, stop.signal))
      .catch(() => undefined);
  } else void lead(null, stop.signal);
  if (!whole) for (const taker of takers) taker.renew();
  whole = true;
  return () => {
    stop.abort();
    channel?.close();
  };
});
