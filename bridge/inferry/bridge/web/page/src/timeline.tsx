// Where a task's time went: waiting, running at which server, and between attempts.
import { now } from "./paint";
import type { Attempt, Task } from "./types";
import { clock, ms, span } from "./words";

interface Stretch {
  kind: string;
  word: string;
  from: number;
  to: number;
}

export function stretches(task: Task, attempts: Attempt[], at: number): Stretch[] {
  const found: Stretch[] = [];
  let since = ms(task.createdAt);
  const add = (kind: string, word: string, from: number, to: number) => {
    if (to > from) found.push({ kind, word, from, to });
  };
  const held = attempts.length ? 0 : ms(task.notBefore);
  add("delay", "Delay", since, Math.min(held, at));
  since = Math.max(since, Math.min(held, at));
  attempts.forEach((one, place) => {
    const [from, to] = [ms(one.startedAt), ms(one.endedAt) || at];
    add(place ? "delay" : "queue", place ? "Back-off and queue" : "Queue", since, from);
    add(`run ${one.outcome}`, `Attempt ${one.number}`, from, Math.max(to, from + 1));
    since = to;
  });
  add("queue", attempts.length ? "Back-off and queue" : "Queue", since, ms(task.finishedAt) || at);
  return found.filter((one) => one.to - one.from > 0);
}

export function Timeline({ task, attempts }: { task: Task; attempts: Attempt[] }) {
  const parts = stretches(task, attempts, Math.max(now.value, ms(task.updatedAt)));
  if (!parts.length) return null;
  const [from, to] = [parts[0]!.from, parts.at(-1)!.to];
  const said = parts.map((one) => `${one.word} ${span(one.to - one.from)}`).join(", ");
  return (
    <figure class="timeline">
      <div role="img" aria-label={said}>
        {parts.map((one) => (
          <span class={one.kind} title={`${one.word}: ${span(one.to - one.from)}`}
            style={{ flexGrow: `${Math.max((one.to - one.from) / (to - from), 0.004)}` }} >
            {(one.to - one.from) / (to - from) > 0.12 && `${one.word}: ${span(one.to - one.from)}`}
          </span>
        ))}
      </div>
      <figcaption>
        <span>{clock(from)}</span><span>{span(to - from)} in all</span><span>{clock(to)}</span>
      </figcaption>
    </figure>
  );
}
