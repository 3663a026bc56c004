// The tasks that fit a filter, newest first: pages from the gateway, changed by what happens.
import { get } from "./api";
import { asked, type Filter, fits } from "./filter";
import { changed } from "./paint";
import { type Status, STATUSES, type Task, type TaskEvent } from "./types";

/** More than anybody scrolls through: a filter finds things better. */
export const MOST = 20_000;
const FIRST_PAGE = 100;
const PAGE = 500;
/** Changes that an answer under way may not know of yet. */
const RECENT = 2_000;

interface Page {
  tasks: Task[];
  nextPageToken?: string;
}

/** What is still to come of the tasks of one status: those below `last`. */
interface Rest {
  status: Status | "";
  token: string;
  last: string;
}

export class TaskList {
  /** Newest first; ids sort as times do. */
  rows: Task[] = [];
  loading = false;
  error = "";
  private rests: Rest[] = [];
  private recent = new Map<string, TaskEvent>();
  private renewing = false;
  private readonly ended = new AbortController();

  constructor(private readonly filter: Filter) {
    void this.more();
  }

  end(): void {
    this.ended.abort();
  }

  /** Whether the gateway has more than this. */
  get open(): boolean {
    return this.rests.length > 0;
  }

  /** How many of the rows have nothing between them that is still to come. */
  get whole(): number {
    if (!this.open) return this.rows.length;
    const horizon = this.rests.reduce((last, rest) => (rest.last > last ? rest.last : last), "");
    return Math.min(this.rows.length, this.placeOf(horizon) + 1);
  }

  /** Reads on. */
  async more(): Promise<void> {
    if (this.loading || this.rows.length >= MOST) return;
    await this.guarded(async () => {
      const first = !this.rows.length && !this.rests.length;
      const wanted = first
        ? this.statuses().map((status): Rest => ({ status, token: "", last: "~" }))
        : [this.rests.reduce((one, two) => (two.last > one.last ? two : one))];
      for (const rest of wanted) {
        const page = await this.page(rest, first ? FIRST_PAGE : PAGE);
        this.rests = this.rests.filter((one) => one !== rest);
        for (const task of page.tasks) this.put(this.newer(task), true);
        if (page.nextPageToken) {
          const last = page.tasks.at(-1)!.id;
          this.rests.push({ status: rest.status, token: page.nextPageToken, last });
        }
      }
    });
  }

  /** Reads the newest again: something came that only the gateway can tell whole. */
  async renew(): Promise<void> {
    if (this.renewing) return;
    this.renewing = true;
    try {
      for (const status of this.statuses()) {
        const rest = { status, token: "", last: "" };
        const page = await this.page(rest, Math.min(PAGE, Math.max(FIRST_PAGE, this.rows.length)));
        const from = page.nextPageToken ? page.tasks.at(-1)!.id : "";
        const told = new Set(page.tasks.map((task) => task.id));
        const apart = page.nextPageToken && this.rows[0] && from > this.rows[0].id;
        // What is gone from between was changed unseen, or is not kept any more.
        this.rows = this.rows.filter(
          (one) => !apart && (one.id < from || told.has(one.id) || (status && one.status !== status)),
        );
        for (const task of page.tasks) this.put(this.newer(task), true);
        if (apart) this.rests = [{ status, token: page.nextPageToken!, last: from }];
      }
      this.error = "";
    } catch (error) {
      if (!this.ended.signal.aborted) this.error = (error as Error).message;
    } finally {
      this.renewing = false;
      changed();
    }
  }

  /** Takes a change; returns whether the newest have to be read again to know what it means. */
  take(event: TaskEvent | null, whole: Task | undefined): boolean {
    const id = event?.taskId ?? whole!.id;
    const known = this.rows[this.placeOf(id)];
    const row = known?.id === id ? known : undefined;
    if (event) {
      this.recent.delete(id);
      this.recent.set(id, event);
      if (this.recent.size > RECENT) this.recent.delete(this.recent.keys().next().value!);
    }
    // What a failure is like is the gateway's to tell.
    if (this.filter.fingerprint && !row) return event?.kind === "FINISHED";
    const task = whole ?? (row && after(row, event!));
    if (task) {
      if (row || this.within(id)) this.put(task, fits(task, this.filter));
      changed();
      return false;
    }
    const { statuses, type } = this.filter;
    return (!type || type === event!.type) && (!statuses.length || statuses.includes(event!.status));
  }

  private statuses(): (Status | "")[] {
    const { statuses } = this.filter;
    return statuses.length && statuses.length < STATUSES.length ? statuses : [""];
  }

  private within(id: string): boolean {
    return !this.open || this.rests.some((rest) => id > rest.last);
  }

  private newer(task: Task): Task {
    const event = this.recent.get(task.id);
    if (!event || event.time <= task.updatedAt) return task;
    return event.task ?? after(task, event);
  }

  /** Puts a row where it belongs, in place of the one of before, or takes it away. */
  private put(task: Task, stays: boolean): void {
    const place = this.placeOf(task.id);
    const there = this.rows[place]?.id === task.id;
    this.rows.splice(place, there ? 1 : 0, ...(stays && fits(task, this.filter) ? [task] : []));
    if (this.rows.length > MOST) this.rows.length = MOST;
  }

  private placeOf(id: string): number {
    let [low, high] = [0, this.rows.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.rows[middle]!.id > id) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  private page(rest: Rest, pageSize: number): Promise<Page> {
    const path = asked(this.filter, rest.status, { pageSize, pageToken: rest.token });
    return get<Page>(`api/tasks?${path}`, this.ended.signal);
  }

  private async guarded(work: () => Promise<void>): Promise<void> {
    this.loading = true;
    changed();
    try {
      await work();
      this.error = "";
    } catch (error) {
      if (!this.ended.signal.aborted) this.error = (error as Error).message;
    } finally {
      this.loading = false;
      changed();
    }
  }
}

/** What a task is after an event. Its place in the queue is another one then. */
export function after(task: Task, event: TaskEvent): Task {
  const { queuePosition: _, ...rest } = task;
  const { status, progress, attempt, time } = event;
  return {
    ...rest,
    status,
    progress,
    attempt,
    message: event.message ?? task.message ?? "",
    serverId: event.serverId ?? task.serverId ?? "",
    updatedAt: time,
    startedAt: event.kind === "DISPATCHED" ? time : (task.startedAt ?? ""),
  };
}
