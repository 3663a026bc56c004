// Types: what waits of each, and which are held back.
import { useState } from "preact/hooks";

import { post } from "./api";
import { href } from "./route";
import { isAdmin } from "./session";
import { can, useWhy } from "./servers";
import { Why } from "./task";
import type { Queue, Server, TypeQueue } from "./types";
import { confirmed, type Polled, say, Trouble, usePoll, Write } from "./ui";
import { Ago, Bar, ms, number, span, State } from "./words";

export function Pause({ of, done, small }: { of: TypeQueue; done: () => void; small?: boolean }) {
  if (!isAdmin.value) return null;
  const pause = async () => {
    const reason = await confirmed({
      title: `Pause ${of.type}?`, action: "Pause it", line: "Reason, for others who look",
      text: "No more tasks of it start; those that run go on.",
    });
    if (reason === null) return;
    await post("api/queue/pause", { type: of.type, reason });
    say(`${of.type} is paused`);
    done();
  };
  const resume = async () => {
    await post("api/queue/resume", { type: of.type });
    say(`${of.type} runs again`);
    done();
  };
  return of.paused
    ? <Write small={small ?? false} act={resume}>Resume</Write>
    : <Write small={small ?? false} act={pause}>Pause…</Write>;
}

function Row({ of, servers, queue }: { of: TypeQueue; servers: Server[]; queue: Polled<Queue> }) {
  const [open, setOpen] = useState(false);
  const able = servers.filter((one) => can(one, of.type));
  return (
    <>
      <tr>
        <td><a class="row" href={href("tasks", "", { filter: `type:${of.type}` })}>{of.type}</a></td>
        <td><State of={of.paused ? "paused" : "open"} />{of.paused && <> <Ago at={of.pausedAt} /> {of.pauseReason}</>}</td>
        <td class="number">{number(of.waiting)}</td>
        <td class="number">{number(of.delayed)}</td>
        <td class="number">{of.oldestAt ? span(Date.now() - ms(of.oldestAt)) : ""}</td>
        <td>{able.length ? `${able.length} server${able.length > 1 ? "s" : ""}` : <State of="offline" word="No server" />}</td>
        <td>
          <span class="buttons">
            <Pause of={of} done={queue.again} small />
            {of.waiting > 0 && (
              <button class="small" aria-expanded={open} onClick={() => setOpen(!open)}>Why does it wait?</button>
            )}
          </span>
        </td>
      </tr>
      {open && <tr><td colSpan={7} class="inside"><Turns of={of} /><Reason type={of.type} /></td></tr>}
    </>
  );
}

function Turns({ of }: { of: TypeQueue }) {
  return (
    <p>
      Tenants in turn:{" "}
      {of.tenants.map(({ tenant, waiting, turns }) => (
        <a class="tag" href={href("tasks", "", { filter: `type:${of.type} tenant:${tenant} status:PENDING` })}>
          {tenant}: {number(waiting)} wait, {turns} {turns === 1 ? "turn" : "turns"}
        </a>
      ))}
    </p>
  );
}

function Reason({ type }: { type: string }) {
  const why = useWhy(type);
  return why ? <Why of={why} /> : <p class="faint">Asking…</p>;
}

export function Types() {
  const queue = usePoll<Queue>("api/queue", 2_000);
  const servers = usePoll<{ servers: Server[] }>("api/servers?pageSize=500", 5_000).data?.servers ?? [];
  const { data } = queue;
  const known = new Set(data?.types.map((one) => one.type));
  const idle = [...new Set(servers.flatMap((one) => one.capabilities))].filter((one) => !known.has(one)).sort()
    .map((type): TypeQueue => ({ type, waiting: 0, delayed: 0, paused: false, tenants: [] }));
  return (
    <main>
      <h1>Types</h1>
      <Trouble of={queue.error} />
      {data && (
        <p class="standing">
          <Bar part={data.waiting / data.limit} label="The queue" />
          {number(data.waiting)} of {number(data.limit)} places in the queue are taken; {number(data.leftLastMinute)} left it in the last minute.
        </p>
      )}
      <div class="scroll" tabIndex={0} role="region" aria-label="Types of tasks">
        <table>
          <thead>
            <tr>
              <th scope="col">Type</th><th scope="col">State</th><th scope="col" class="number">Waiting</th>
              <th scope="col" class="number">Delayed</th><th scope="col" class="number">Oldest</th><th scope="col">Can do it</th><th scope="col"><span class="hidden">Steer</span></th>
            </tr>
          </thead>
          <tbody>
            {[...(data?.types ?? []), ...idle].map((one) => <Row key={one.type} of={one} servers={servers} queue={queue} />)}
          </tbody>
        </table>
      </div>
    </main>
  );
}
