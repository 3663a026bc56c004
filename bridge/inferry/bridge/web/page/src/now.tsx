// Now: how it goes, and what needs somebody.
import { query } from "./api";
import { Pause } from "./kinds";
import { type Line, Plot } from "./plot";
import { go, href, route } from "./route";
import { can, Steer, sum, useWhy } from "./servers";
import { Remedy } from "./task";
import type { Queue, Server, TypeQueue } from "./types";
import { Fact, type Polled, Trouble, usePoll } from "./ui";
import { capital, ms, number, span, State } from "./words";

export interface Stats {
  from: string;
  step: number;
  types: string[];
  created: number[];
  completed: number[];
  failed: number[];
  cancelled: number[];
  waiting: number[];
  running: number[];
  waitP50Ms: number[];
  waitP95Ms: number[];
  waitP99Ms: number[];
  runP50Ms: number[];
  runP95Ms: number[];
  runP99Ms: number[];
}

/** Seconds are known for ten minutes, minutes for a day, hours for a month. */
const SPANS: [word: string, span: number, step: number][] = [
  ["10 min", 595, 5], ["1 h", 3_600, 60], ["24 h", 86_340, 600], ["30 d", 2_588_400, 14_400],
];
/** A queue that is fuller needs somebody. */
const FULL = 0.8;

const total = (values: number[] | undefined) => (values ?? []).reduce((all, one) => all + Math.max(0, one), 0);
const brief = (value: number) => span(value).replace(" min", "m").replace(" h", "h");

function Tiles({ queue, servers, minute, span: word, stats }: {
  queue: Queue | undefined; servers: Server[] | undefined; minute: Stats | undefined;
  span: string; stats: Stats | undefined;
}) {
  const [good, bad] = [total(stats?.completed), total(stats?.failed)];
  const ended = total(minute?.completed) + total(minute?.failed) + total(minute?.cancelled);
  const oldest = queue?.types.map((one) => ms(one.oldestAt)).filter(Boolean) ?? [];
  const [active, slots] = [sum(servers, "active"), sum(servers, "maxConcurrent")];
  const known = (value: unknown, text: string) => (value === undefined ? "–" : text);
  return (
    <dl class="tiles">
      <Fact name="Waiting">{known(queue, number(queue?.waiting ?? 0))}</Fact>
      <Fact name="Oldest wait">{oldest.length ? span(Date.now() - Math.min(...oldest)) : "–"}</Fact>
      <Fact name="Running">{known(servers, number(active))}</Fact>
      <Fact name="Ended, last minute">{known(minute, number(ended))}</Fact>
      <Fact name={`Failed, ${word}`}>
        {good + bad ? `${((100 * bad) / (good + bad)).toFixed(1)} %` : "–"} <small>{bad > 0 && number(bad)}</small>
      </Fact>
      <Fact name="Slots taken">{known(servers, `${number(active)} / ${number(slots)}`)}</Fact>
    </dl>
  );
}

function Plots({ of }: { of: Stats }) {
  const time = { from: ms(of.from), step: of.step * 1_000 };
  const three = (names: string[], values: number[][]): Line[] =>
    names.map((name, place) => ({ name, tone: ["busy", "warn", "bad"][place]!, values: values[place]! }));
  const p = ["p50", "p95", "p99"];
  return (
    <div class="plots">
      <Plot title={`Tasks each ${span(time.step)}`} {...time} print={number} lines={[
        { name: "created", tone: "busy", values: of.created },
        { name: "completed", tone: "good", values: of.completed },
        { name: "failed", tone: "bad", values: of.failed },
      ]} />
      <Plot title="Tasks in flight" {...time} print={number} lines={[
        { name: "waiting", tone: "warn", values: of.waiting },
        { name: "running", tone: "busy", values: of.running },
      ]} />
      <Plot title="Wait for a server" {...time} print={brief} lines={three(p, [of.waitP50Ms, of.waitP95Ms, of.waitP99Ms])} />
      <Plot title="Run" {...time} print={brief} lines={three(p, [of.runP50Ms, of.runP95Ms, of.runP99Ms])} />
    </div>
  );
}

function Matter({ tone, word, children, text, remedy }: {
  tone: string; word: string; text?: string; remedy?: string | undefined; children?: preact.ComponentChildren;
}) {
  return (
    <li>
      <State of={tone} word={word} />
      <p>{text}<Remedy of={remedy} /></p>
      {children}
    </li>
  );
}

function TypeMatter({ of, queue }: { of: TypeQueue; queue: Polled<Queue> }) {
  const why = useWhy(of.waiting ? of.type : "");
  const held = `${of.pauseReason ? `${of.pauseReason}. ` : ""}${number(of.waiting)} wait.`;
  return (
    <Matter tone={of.paused ? "paused" : "offline"} word={`${of.type}: ${of.paused ? "paused" : "no server"}`}
      text={of.paused ? held : (why?.text ?? held)} remedy={why?.remedy ?? ""}>
      {of.paused && <Pause of={of} done={queue.again} />}
      <a href={href("tasks", "", { filter: `type:${of.type} status:PENDING` })}>Its tasks</a>
    </Matter>
  );
}

function ServerMatter({ of, done }: { of: Server; done: () => void }) {
  const stalled = of.connection === "stalled";
  const word = stalled ? "stalled" : of.breaker !== "CLOSED" ? `breaker ${capital(of.breaker).toLowerCase()}` : of.status;
  const text = stalled
    ? "The loop of its handlers does not keep up; it gets no more tasks until it does."
    : of.lastError || "It does not answer.";
  const when = ms(of.retryAt);
  return (
    <Matter tone={of.status === "offline" ? "offline" : "degraded"} word={`${of.name}: ${word}`} text={text}
      remedy={when ? `It is tried again in ${span(when - Date.now())}.` : ""}>
      <Steer server={of} done={done} />
      <a href={href("servers", of.id)}>Look at it</a>
    </Matter>
  );
}

function Attention({ queue, servers, health }: {
  queue: Polled<Queue>; servers: Polled<{ servers: Server[] }>; health: Polled<unknown>;
}) {
  const all = servers.data?.servers;
  const types = queue.data?.types.filter(
    (one) => one.paused || (one.waiting > 0 && all && !all.some((server) => can(server, one.type))),
  ) ?? [];
  const ill = all?.filter(
    (one) => one.breaker !== "CLOSED" || one.status === "offline" || one.connection === "stalled",
  ) ?? [];
  const fill = queue.data ? queue.data.waiting / queue.data.limit : 0;
  const none = !types.length && !ill.length && fill <= FULL && !health.error;
  return (
    <section aria-labelledby="attention">
      <h2 id="attention">Needs attention</h2>
      {none && <p class="faint"><State of="active" word="Nothing does" /></p>}
      <ul class="attention">
        {health.error && <Matter tone="offline" word="Gateway: not ready" text={health.error} />}
        {fill > FULL && (
          <Matter tone="degraded" word={`Queue: ${Math.round(fill * 100)} % full`}
            text={`${number(queue.data!.waiting)} of ${number(queue.data!.limit)} places are taken; when all are, new tasks are refused.`}
            remedy="More servers empty it sooner." />
        )}
        {types.map((one) => <TypeMatter key={one.type} of={one} queue={queue} />)}
        {ill.map((one) => <ServerMatter key={one.id} of={one} done={servers.again} />)}
      </ul>
    </section>
  );
}

/** Asks for the figures of the last so many seconds. */
function useStats(span: number, step: number, type = ""): Polled<Stats> {
  const times = () => {
    const now = Math.floor(Date.now() / 1_000);
    // Without a column that has just begun: it would look like a fall.
    const to = step > 60 ? now : now - (now % step) - 1;
    const print = (at: number) => new Date(at * 1_000).toISOString();
    return `&${query({ from: print(to - span), to: print(to) })}`;
  };
  return usePoll<Stats>(`api/stats?${query({ step, type })}`, Math.max(2_000, step * 100), times);
}

export function Now() {
  const asked = route.value.query;
  const [word, seconds, step] = SPANS.find(([one]) => one === asked.get("span")) ?? SPANS[0]!;
  const type = asked.get("type") ?? "";
  const queue = usePoll<Queue>("api/queue", 2_000);
  const servers = usePoll<{ servers: Server[] }>("api/servers?pageSize=500", 2_000);
  const health = usePoll("health", 5_000);
  const stats = useStats(seconds, step, type);
  const minute = useStats(59, 1);
  const to = (more: Record<string, string>) => go(href("now", "", { span: word, type, ...more }));
  return (
    <main>
      <h1 class="hidden">Now</h1>
      <Tiles queue={queue.data} servers={servers.data?.servers} minute={minute.data} stats={stats.data} span={word} />
      <Trouble of={queue.error ?? servers.error ?? stats.error} />
      <Attention queue={queue} servers={servers} health={health} />
      <p class="buttons" role="group" aria-label="Time that is shown">
        {SPANS.map(([one]) => (
          <button aria-pressed={one === word} onClick={() => to({ span: one })}>{one}</button>
        ))}
        <select aria-label="Type" value={type} onChange={(e) => to({ type: e.currentTarget.value })}>
          <option value="">all types</option>
          {stats.data?.types.map((one) => <option value={one}>{one}</option>)}
        </select>
      </p>
      {stats.data && <Plots of={stats.data} />}
    </main>
  );
}
