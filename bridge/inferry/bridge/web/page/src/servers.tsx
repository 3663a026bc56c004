// Servers: who can do the work, how much of it they have, and how they are.
import { post, query } from "./api";
import { href } from "./route";
import { isAdmin, mayServers, mayTasks } from "./session";
import { Remedy } from "./task";
import { columnsOf } from "./tasks";
import type { Explanation, Queue, Server, Task } from "./types";
import { confirmed, Fact, type Polled, say, Trouble, usePoll, Write } from "./ui";
import { Ago, Bar, capital, number, span, State, Time } from "./words";

type Listed = Polled<{ servers: Server[] }>;

function Breaker({ of }: { of: Server }) {
  if (of.breaker === "CLOSED") return <span class="faint">closed</span>;
  return <State of={of.breaker === "OPEN" ? "offline" : "degraded"} word={`Breaker ${capital(of.breaker).toLowerCase()}`} />;
}

export function Steer({ server, done, small }: { server: Server; done: () => void; small?: boolean }) {
  if (!mayServers.value) return null;
  const path = `api/servers/${server.id}`;
  const drain = async () => {
    await post(`${path}/drain`);
    say(`${server.name} gets no more tasks`);
    done();
  };
  const resume = async () => {
    await post(`${path}/resume`);
    say(`${server.name} gets tasks again`);
    done();
  };
  const remove = async () => {
    const answer = await confirmed({
      title: `Take ${server.name} out of the list?`, action: "Deregister it", danger: true,
      text: `It gets no more tasks. The ${server.active} that it has may end within 30 s; what it still has then is lost with it.`,
    });
    if (answer === null) return;
    await post(path, undefined, "DELETE");
    say(`${server.name} is out of the list`);
    done();
  };
  const held = ["draining", "resting"].includes(server.status);
  return (
    <span class="buttons">
      {held ? <Write small={small ?? false} act={resume}>Resume</Write> : <Write small={small ?? false} act={drain}>Drain</Write>}
      <Write small={small ?? false} danger act={remove}>Deregister…</Write>
    </span>
  );
}

function Row({ server, listed }: { server: Server; listed: Listed }) {
  const { load } = server;
  return (
    <tr>
      <td><a class="row" href={href("servers", server.id)}>{server.name}</a></td>
      <td><State of={server.status} />{server.connection && server.connection !== "connected" && <State of={server.connection === "stalled" ? "degraded" : "offline"} word={capital(server.connection)} />}</td>
      <td><Bar part={server.active / server.maxConcurrent} label={`Slots of ${server.name}`} /> {server.active} / {server.maxConcurrent}</td>
      <td class="wide">{load ? `${Math.round(load.cpu)} % cpu, ${Math.round(load.memory)} % memory, ${load.queueLength} inside` : <span class="faint">unknown</span>}</td>
      <td><Breaker of={server} /></td>
      <td>{server.successRate === undefined ? <span class="faint">none yet</span> : `${Math.round(server.successRate * 100)}\u00a0%`}</td>
      <td class="wide">{server.transport === "grpc" ? "gRPC, dials in" : "HTTP"}</td>
      <td class="wide"><Ago at={server.lastSeenAt} /></td>
      <td><Steer server={server} done={listed.again} small /></td>
    </tr>
  );
}

function Verdicts({ server }: { server: Server }) {
  const { data } = usePoll<Queue>(isAdmin.value ? "api/queue" : null, 5_000);
  const types = data?.types.filter((one) => one.waiting > 0).slice(0, 8) ?? [];
  if (!types.length) return <p class="faint">Nothing waits.</p>;
  return <ul>{types.map((one) => <li><VerdictOn type={one.type} server={server} /></li>)}</ul>;
}

/** Explains the newest waiting task of a type; nothing of none. */
export function useWhy(type: string): Explanation | undefined {
  const asked = query({ status: "PENDING", type, pageSize: 1 });
  const found = usePoll<{ tasks: Task[] }>(type ? `api/tasks?${asked}` : null, 5_000);
  const id = found.data?.tasks[0]?.id;
  return usePoll<Explanation>(id ? `api/tasks/${id}/explain` : null, 5_000).data;
}

function VerdictOn({ type, server }: { type: string; server: Server }) {
  const verdict = useWhy(type)?.servers.find((one) => one.serverId === server.id);
  return (
    <>
      <strong>{type}</strong> {verdict ? <><State of={verdict.rule} /> {verdict.text}<Remedy of={verdict.remedy} /></> : "…"}
    </>
  );
}

function History({ server }: { server: Server }) {
  const { data } = usePoll<{ tasks: Task[] }>(`api/tasks?${query({ serverId: server.id, pageSize: 20 })}`, 5_000);
  const columns = columnsOf(new Map()).filter((one) => one.name !== "Server" && one.name !== "Tenant");
  return (
    <div class="scroll" tabIndex={0} role="region" aria-label="Its latest tasks">
      <table>
        <thead><tr>{columns.map((one) => <th scope="col" class={one.wide ? "wide" : ""}>{one.name}</th>)}</tr></thead>
        <tbody>
          {data?.tasks.map((task) => (
            <tr key={task.id}>{columns.map((one) => <td class={one.wide ? "wide" : ""}>{one.cell(task)}</td>)}</tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

function One({ server, listed }: { server: Server; listed: Listed }) {
  return (
    <main>
      <p class="crumbs"><a href={href("servers")}>Servers</a></p>
      <h1>{server.name}</h1>
      <div class="standing">
        <State of={server.status} /> <Breaker of={server} />
        <span class="said">{server.lastError}</span>
      </div>
      <p><Steer server={server} done={listed.again} /></p>
      <dl class="facts">
        <Fact name="Id"><span class="mono">{server.id}</span></Fact>
        <Fact name="Reached">{server.url || "dials in (worker)"}</Fact>
        <Fact name="Slots">{server.active} of {server.maxConcurrent}</Fact>
        {server.credit !== undefined && <Fact name="Asks for">{server.credit} more</Fact>}
        {!!server.workerIdleWithBacklogMs && <Fact name="Idle while work waited">{span(server.workerIdleWithBacklogMs)}</Fact>}
        <Fact name="Takes">{server.capabilities.join(", ") || "every type"}</Fact>
        <Fact name="Last seen"><Ago at={server.lastSeenAt} /></Fact>
        <Fact name="Registered"><Time at={server.createdAt} /></Fact>
        {server.retryAt && <Fact name="Tried again"><Time at={server.retryAt} /></Fact>}
        {server.tenant && <Fact name="Tenant">{server.tenant}</Fact>}
      </dl>
      {mayTasks.value && (
        <>
          {isAdmin.value && <section><h2>What it makes of what waits</h2><Verdicts server={server} /></section>}
          <section><h2>Its latest tasks</h2><History server={server} /></section>
        </>
      )}
    </main>
  );
}

export function Servers({ id }: { id: string }) {
  const listed: Listed = usePoll("api/servers?pageSize=500", 2_000);
  const servers = listed.data?.servers;
  const one = id && servers?.find((server) => server.id === id);
  if (one) return <One server={one} listed={listed} key={id} />;
  const [active, slots] = [sum(servers, "active"), sum(servers, "maxConcurrent")];
  return (
    <main>
      <h1>Servers <small>{servers && `${number(servers.length)}, ${number(active)} of ${number(slots)} slots taken`}</small></h1>
      <Trouble of={id && servers ? `There is no server ${id}, or not any more.` : listed.error} />
      {servers?.length === 0 && <p class="empty">No server has registered. Tasks wait until one does.</p>}
      {!!servers?.length && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Servers">
          <table>
            <thead>
              <tr>
                <th scope="col">Server</th><th scope="col">State</th><th scope="col">Slots</th>
                <th scope="col" class="wide">Load</th><th scope="col">Breaker</th><th scope="col">Good</th>
                <th scope="col" class="wide">Over</th><th scope="col" class="wide">Last seen</th><th scope="col"><span class="hidden">Steer</span></th>
              </tr>
            </thead>
            <tbody>{servers.map((server) => <Row key={server.id} server={server} listed={listed} />)}</tbody>
          </table>
        </div>
      )}
    </main>
  );
}

export const can = (server: Server, type: string) =>
  !server.capabilities.length || server.capabilities.includes(type);

export const sum = (servers: Server[] | undefined, of: "active" | "maxConcurrent") =>
  servers?.reduce((total, server) => total + server[of], 0) ?? 0;
