// What was, or is to be, told of a task to webhooks, how that went, and telling it again.
import { post } from "./api";
import { mayTasks } from "./session";
import type { Delivery, Try } from "./types";
import { say, Write } from "./ui";
import { capital, number, span, State, Time } from "./words";

/** What of many is shown: those that did not get there come first. */
const SHOWN = 200;
const ORDER = ["FAILED", "WAITING", "DELIVERED"];

/** Says how a receiver answered. */
const answerOf = ({ statusCode, answer }: Try) =>
  [statusCode || "No answer", answer].filter(Boolean).join(": ");

function Tries({ of }: { of: Try[] }) {
  const [last, ...before] = [...of].reverse();
  if (!last || !before.length) return <div>{last && answerOf(last)}</div>;
  return (
    <details>
      <summary>{answerOf(last)} ({before.length} before)</summary>
      {before.map((one) => (
        <div key={one.at}><Time at={one.at} />, {span(one.tookMs)}: {answerOf(one)}</div>
      ))}
    </details>
  );
}

function When({ of }: { of: Delivery }) {
  if (of.state !== "WAITING") return <Time at={of.endedAt} />;
  return of.nextAttemptAt ? <>next at <Time at={of.nextAttemptAt} /></> : <>after the one before</>;
}

function Told({ of, hook, again }: { of: Delivery; hook: string | undefined; again: () => unknown }) {
  const redeliver = async () => {
    const path = `api/tasks/${encodeURIComponent(of.taskId)}/deliveries/${of.seq}/redeliver`;
    await post(path, { webhookId: of.webhookId });
    say("It is sent again");
    await again();
  };
  return (
    <li>
      <State of={of.state} word={of.state === "FAILED" ? "Given up" : undefined} />
      <div class="said">
        {capital(of.event)} (event {of.seq}) to {hook ?? of.webhookId}, <When of={of} />
        <Tries of={of.attempts} />
      </div>
      {mayTasks.value && of.state !== "WAITING" && <Write small act={redeliver}>Redeliver</Write>}
    </li>
  );
}

export function Deliveries({ of, hooks, again }: {
  of: Delivery[];
  /** What each webhook is called, by its id. */
  hooks: Map<string, string>;
  /** Reads them anew. */
  again: () => unknown;
}) {
  const shown = of.toSorted((a, b) => ORDER.indexOf(a.state) - ORDER.indexOf(b.state)).slice(0, SHOWN);
  return (
    <>
      <ul class="attention">
        {shown.map((one) => (
          <Told key={`${one.webhookId} ${one.seq}`} of={one} hook={hooks.get(one.webhookId)} again={again} />
        ))}
      </ul>
      {of.length > SHOWN && <p class="faint">{number(of.length - SHOWN)} more are not shown.</p>}
    </>
  );
}
