// Tasks: all that fit the filter, as they change.
import { useEffect, useRef, useState } from "preact/hooks";

import { get } from "./api";
import { actOnAll, counted } from "./bulk";
import { parse, WORDS_SHOWN } from "./filter";
import { follow } from "./live";
import { MOST, TaskList } from "./list";
import { changed, tick } from "./paint";
import { go, href, route } from "./route";
import { isAdmin } from "./session";
import { type Column, LongTable } from "./table";
import { isFinal, type Server, type Status, type Task } from "./types";
import { confirmed, say, Trouble, usePoll, Write } from "./ui";
import { Ago, Bar, ms, number, span, State } from "./words";

const RENEW_MS = 1_500;
const PLACES_MS = 4_000;

export const PRESETS: [name: string, filter: string][] = [
  ["All", ""],
  ["In flight", "status:PENDING,PROCESSING"],
  ["Failed today", "status:FAILED,TIMEOUT ended:today"],
];

function useTasks(text: string): TaskList {
  const made = useRef<{ text: string; list: TaskList }>(null);
  if (made.current?.text !== text) {
    made.current?.list.end();
    made.current = { text, list: new TaskList(parse(text)) };
  }
  const { list } = made.current!;
  useEffect(() => {
    let timer = 0;
    // Not more often, however much comes.
    const renew = () => {
      timer ||= window.setTimeout(async () => {
        await list.renew();
        timer = 0;
      }, RENEW_MS);
    };
    const leave = follow({
      change: (event, task) => list.take(event, task) && renew(),
      renew: () => void list.renew(),
    });
    return () => {
      leave();
      clearTimeout(timer);
      list.end();
    };
  }, [list]);
  return list;
}

/** Keeps the places in the queue of the tasks that can be seen. */
function usePlaces(list: TaskList, shown: { from: number; to: number }): void {
  useEffect(() => {
    const timer = setInterval(async () => {
      if (document.hidden) return;
      const waiting = list.rows.slice(shown.from, shown.to).filter((one) => one.status === "PENDING");
      for (const { id } of waiting) {
        const task = await get<Task>(`api/tasks/${id}?withoutPayload=true`).catch(() => null);
        if (task) list.take(null, task);
      }
      if (waiting.length) changed();
    }, PLACES_MS);
    return () => clearInterval(timer);
  }, [list]);
}

function How({ task }: { task: Task }) {
  if (task.status === "PROCESSING")
    return (
      <>
        <Bar part={task.progress / 100} label={`Progress of ${task.id}`} />
        {Math.floor(task.progress)} %
      </>
    );
  if (task.status !== "PENDING") return null;
  if (ms(task.notBefore) > Date.now()) return <>delayed</>;
  const { queuePosition: place } = task;
  return <>{place ? `${task.queuePositionAtLeast ? "≥ " : ""}#${number(place)} in line` : ""}</>;
}

/** How long it ran, or has been waiting. */
function took(task: Task, at: number): string {
  if (task.status === "PENDING") return "";
  const from = ms(task.startedAt) || ms(task.createdAt);
  return span((ms(task.finishedAt) || Math.max(at, from)) - from);
}

export function columnsOf(names: Map<string, string>): Column<Task>[] {
  tick.value;
  const at = Date.now();
  return [
    { name: "State", width: 112, cell: (task) => <State of={task.status} /> },
    { name: "Progress", width: 132, cell: (task) => <How task={task} /> },
    { name: "Type", width: 150, cell: (task) => task.type },
    {
      name: "Task", width: 250,
      cell: (task) => <a class="row mono" href={href("task", task.id)}>{task.id}</a>,
    },
    ...(isAdmin.value
      ? [{ name: "Tenant", width: 90, wide: true, cell: (task: Task) => task.tenant }]
      : []),
    {
      name: "Server", width: 120, wide: true,
      cell: (task) => (task.serverId ? (names.get(task.serverId) ?? task.serverId) : ""),
    },
    { name: "Created", width: 110, cell: (task) => <Ago at={task.createdAt} /> },
    { name: "Ran", width: 90, wide: true, cell: (task) => took(task, at) },
    {
      name: "Says", width: 0, wide: true,
      cell: (task) => (isFinal(task.status) && task.error) || task.message,
    },
  ];
}

export function useServerNames(): Map<string, string> {
  const { data } = usePoll<{ servers: Server[] }>("api/servers?pageSize=500", 10_000);
  return new Map(data?.servers.map((server) => [server.id, server.name]));
}

function FilterBar({ text, list }: { text: string; list: TaskList }) {
  tick.value;
  const [typed, type] = useState(text);
  const shown = useRef(text);
  if (shown.current !== text) {
    // At once: an effect would come after the first key that was typed.
    shown.current = text;
    type(text);
  }
  const to = (filter: string) => go(href("tasks", "", filter ? { filter } : {}));
  const { unknown } = parse(text);
  return (
    <form class="filter" role="search" onSubmit={(e) => (e.preventDefault(), to(typed.trim()))}>
      {PRESETS.map(([name, filter]) => (
        <button type="button" aria-pressed={filter === text} onClick={() => to(filter)}>{name}</button>
      ))}
      <input id="filter" type="search" aria-label="Filter of tasks" aria-describedby="filter-says"
        placeholder={WORDS_SHOWN} value={typed}
        spellcheck={false} onInput={(e) => type(e.currentTarget.value)} />
      <button class="main">Filter</button>
      <span id="filter-says" class={unknown.length ? "bad" : "faint"} aria-live="polite">
        {unknown.length
          ? `unknown: ${unknown.join(" ")}`
          : `${number(list.whole)}${list.open ? "+" : ""} tasks${list.rows.length >= MOST ? ", no more are shown" : ""}`}
      </span>
      <Bulk text={text} list={list} />
    </form>
  );
}

const LIVING: Status[] = ["PENDING", "PROCESSING"];
const ENDED_BADLY: Status[] = ["FAILED", "TIMEOUT", "CANCELLED"];

/** What can be done to all that match; nothing to all there are. */
function Bulk({ text, list }: { text: string; list: TaskList }) {
  const filter = parse(text);
  const of = (statuses: Status[]) => filter.statuses.filter((one) => statuses.includes(one));
  const narrow = { ...filter, statuses: [] };
  const act = (act: "cancel" | "retry", statuses: Status[], word: string, line?: string) => async () => {
    const count = await counted(filter, statuses);
    const answer = await confirmed({
      title: `${word} ${count} tasks?`, action: `${word} them`, danger: act === "cancel",
      text: `All that match “${text}”, newest first, also those that come to match meanwhile.`,
      ...(line ? { line } : {}),
    });
    if (answer === null) return;
    const sum = await actOnAll(act, narrow, statuses, answer ? { reason: answer } : {});
    say(`${number(sum)} ${act === "cancel" ? "cancelled" : "wait again"}`);
    await list.renew();
  };
  const ends = !filter.code && !filter.fingerprint && !filter.finishedSince;
  if (filter.unknown.length) return null;
  return (
    <>
      {ends && of(LIVING).length > 0 && (
        <Write danger act={act("cancel", of(LIVING), "Cancel", "Reason")}>Cancel all…</Write>
      )}
      {of(ENDED_BADLY).length > 0 && (
        <Write act={act("retry", of(ENDED_BADLY), "Retry")}>Retry all…</Write>
      )}
    </>
  );
}

export function Tasks() {
  const text = route.value.query.get("filter") ?? "";
  const list = useTasks(text);
  const names = useServerNames();
  const shown = useRef({ from: 0, to: 0 });
  usePlaces(list, shown.current);
  tick.value;
  return (
    <main class="full">
      <h1 class="hidden">Tasks</h1>
      <FilterBar text={text} list={list} />
      <Trouble of={list.error} />
      {!list.rows.length && !list.loading && !list.error && (
        <p class="empty">No task is like that. {text ? "Fewer words find more." : "A new one begins under New task."}</p>
      )}
      <LongTable label="Tasks" columns={columnsOf(names)} rows={list.rows} count={list.whole}
        keyOf={(task) => task.id} onEnd={() => list.open && void list.more()}
        onShown={(from, to) => Object.assign(shown.current, { from, to })} />
    </main>
  );
}
