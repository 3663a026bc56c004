// What is done to all tasks that match, once somebody has seen how many they are.
import { get, post } from "./api";
import { asked, type Filter } from "./filter";
import type { Status } from "./types";
import { number } from "./words";

interface Done {
  cancelled?: number;
  retried?: number;
  queueFull?: boolean;
  nextPageToken?: string;
}

/** Counts what matches: as it is said, for there may be more. */
export async function counted(filter: Filter, statuses: Status[]): Promise<string> {
  const counts = await Promise.all(statuses.map((status) =>
    get<{ count: number; more: boolean }>(`api/tasks/count?${asked(filter, status)}`)));
  const sum = counts.reduce((all, one) => all + one.count, 0);
  return number(sum) + (counts.some((one) => one.more) ? " or more" : "");
}

/** Cancels or retries all that match, part by part; gives how many it were. */
export async function actOnAll(
  act: "cancel" | "retry", filter: Filter, statuses: Status[], more: Record<string, string> = {},
): Promise<number> {
  const { unknown: _, statuses: __, ...wanted } = filter;
  const set = Object.fromEntries(Object.entries(wanted).filter(([, value]) => value));
  let sum = 0;
  for (const status of statuses) {
    let pageToken: string | undefined = "";
    while (pageToken !== undefined) {
      const done: Done = await post(`api/tasks/${act}`, { ...set, ...more, status, pageToken });
      sum += done.cancelled ?? done.retried ?? 0;
      if (done.queueFull) throw new Error(`${number(sum)} wait again; then the queue was full: go on later`);
      pageToken = done.nextPageToken || undefined;
    }
  }
  return sum;
}
