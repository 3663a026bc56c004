// Failures: what went wrong, the same things together.
import { query } from "./api";
import { actOnAll, counted } from "./bulk";
import { parse } from "./filter";
import { href } from "./route";
import { mayTasks } from "./session";
import { confirmed, say, Trouble, usePoll, Write } from "./ui";
import { Ago, number, State } from "./words";

interface Failure {
  type: string;
  code: string;
  message: string;
  count: number;
  firstSeen: string;
  lastSeen: string;
  sampleTaskId: string;
  fingerprint: string;
  counts: number[];
}

/** A small plot: how often, over the time that is looked at. */
function Often({ counts }: { counts: number[] }) {
  const most = Math.max(1, ...counts);
  const wide = 120 / Math.max(1, counts.length);
  const bars = counts.map((one, place) => one && `M${((place + 0.5) * wide).toFixed(1)} 22V${(22 - (one / most) * 20).toFixed(1)}`);
  return (
    <svg class="often" viewBox="0 0 120 24" preserveAspectRatio="none" role="img" aria-label={`At most ${most} at a time`}>
      <path class="grid" d="M0 22.5H120" />
      <path d={bars.filter(Boolean).join("")} style={{ strokeWidth: `${Math.max(1, wide - 0.5)}` }} />
    </svg>
  );
}

function Row({ of, done }: { of: Failure; done: () => void }) {
  const filter = `status:FAILED,TIMEOUT fingerprint:${of.fingerprint}`;
  const retry = async () => {
    const count = await counted(parse(filter), ["FAILED", "TIMEOUT"]);
    const answer = await confirmed({
      title: `Retry ${count} tasks?`, action: "Retry them",
      text: `All of type ${of.type} that failed with “${of.message}”. They wait again, newest first.`,
    });
    if (answer === null) return;
    say(`${number(await actOnAll("retry", parse(filter), ["FAILED", "TIMEOUT"]))} wait again`);
    done();
  };
  return (
    <tr>
      <td><a class="row" href={href("tasks", "", { filter })}>{of.message || "no message"}</a></td>
      <td><State of="FAILED" word={of.code} /></td>
      <td>{of.type}</td>
      <td class="number">{number(of.count)}</td>
      <td class="wide"><Often counts={of.counts} /></td>
      <td class="wide"><Ago at={of.firstSeen} /></td>
      <td><Ago at={of.lastSeen} /></td>
      <td>
        <span class="buttons">
          <a href={href("task", of.sampleTaskId)}>One of them</a>
          {mayTasks.value && <Write small act={retry}>Retry…</Write>}
        </span>
      </td>
    </tr>
  );
}

export function Failures() {
  const since = new Date(Math.floor(Date.now() / 3_600_000 - 24) * 3_600_000).toISOString();
  const found = usePoll<{ groups: Failure[]; more: boolean }>(`api/failures?${query({ from: since })}`, 5_000);
  const groups = found.data?.groups;
  return (
    <main>
      <h1>Failures <small>of the last 24 h</small></h1>
      <Trouble of={found.error} />
      {found.data?.more && <p class="faint">There are more than can be shown here; counts are of the latest 10 000.</p>}
      {groups?.length === 0 && <p class="empty"><State of="active" word="Nothing failed." /></p>}
      {!!groups?.length && (
        <div class="scroll" tabIndex={0} role="region" aria-label="Failures">
          <table>
            <thead>
              <tr>
                <th scope="col">What it said</th><th scope="col">Code</th><th scope="col">Type</th>
                <th scope="col" class="number">How many</th><th scope="col" class="wide">When</th>
                <th scope="col" class="wide">First</th><th scope="col">Last</th><th scope="col"><span class="hidden">Steer</span></th>
              </tr>
            </thead>
            <tbody>{groups.map((one) => <Row key={one.fingerprint} of={one} done={found.again} />)}</tbody>
          </table>
        </div>
      )}
    </main>
  );
}
