// The words of the filter bar: what the gateway is asked for, and what a task has to be.
import { query } from "./api";
import { type Status, STATUSES, type Task } from "./types";

export interface Filter {
  statuses: Status[];
  type: string;
  serverId: string;
  tenant: string;
  code: string;
  fingerprint: string;
  /** Times as the gateway reads them; empty for any. */
  createdSince: string;
  finishedSince: string;
  labels: Record<string, string>;
  /** Words that mean nothing. */
  unknown: string[];
}

type Text = "type" | "serverId" | "tenant" | "code" | "fingerprint";
const WORDS: Record<string, Text> = {
  type: "type", server: "serverId", tenant: "tenant", code: "code", fingerprint: "fingerprint",
};
const TIMES: Record<string, "createdSince" | "finishedSince"> = {
  created: "createdSince", ended: "finishedSince",
};
export const WORDS_SHOWN = "status: type: label.key: server: tenant: code: created:1h ended:today";
const UNITS: Record<string, number> = { m: 60_000, h: 3_600_000, d: 86_400_000 };

/** Reads `today`, a span such as `30m`, `2h` or `7d`, or a date; empty when it is none of them. */
function since(word: string): string {
  const [, count, unit] = /^(\d{1,4})([mhd])$/.exec(word) ?? [];
  const at = unit ? Date.now() - Number(count) * UNITS[unit]!
    : word === "today" ? new Date().setHours(0, 0, 0, 0) : Date.parse(word);
  return Number.isNaN(at) ? "" : new Date(at).toISOString();
}

export function parse(text: string): Filter {
  const found: Filter = {
    statuses: [], type: "", serverId: "", tenant: "", code: "", fingerprint: "",
    createdSince: "", finishedSince: "", labels: {}, unknown: [],
  };
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const at = word.indexOf(":");
    const [name, value] = [word.slice(0, at), word.slice(at + 1)];
    const statuses = value.toUpperCase().split(",") as Status[];
    const time = TIMES[name];
    if (at < 1 || !value) found.unknown.push(word);
    else if (name === "status" && statuses.every((one) => STATUSES.includes(one)))
      found.statuses = statuses;
    else if (name.startsWith("label.") && name.length > 6) found.labels[name.slice(6)] = value;
    else if (time && since(value)) found[time] = since(value);
    else if (WORDS[name]) found[WORDS[name]] = value;
    else found.unknown.push(word);
  }
  return found;
}

/** Prints what the gateway is asked for tasks of one status. */
export function asked(filter: Filter, status = "", more: Record<string, string | number> = {}) {
  const { statuses: _, unknown: __, labels, ...rest } = filter;
  const named = Object.entries(labels).map(([name, value]) => [`labels.${name}`, value]);
  return query({ status, ...rest, ...Object.fromEntries(named), ...more });
}

export function fits(task: Task, filter: Filter): boolean {
  const same = (wanted: string, value = "") => !wanted || wanted === value;
  const late = (wanted: string, value = "") => !wanted || Date.parse(value) >= Date.parse(wanted);
  return (
    (!filter.statuses.length || filter.statuses.includes(task.status)) &&
    same(filter.type, task.type) && same(filter.serverId, task.serverId) &&
    same(filter.tenant, task.tenant) && same(filter.code, task.code) &&
    late(filter.createdSince, task.createdAt) && late(filter.finishedSince, task.finishedAt) &&
    Object.entries(filter.labels).every(([name, value]) => task.labels[name] === value)
  );
}
