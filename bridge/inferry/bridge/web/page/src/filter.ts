// The words of the filter bar: what the gateway is asked for, and what a task has to be.
import { query } from "./api";
import { type Status, STATUSES, type Task } from "./types";

export interface Filter {
  statuses: Status[];
  type: string;
  serverId: string;
  tenant: string;
  code: string;
  labels: Record<string, string>;
  /** Words that mean nothing. */
  unknown: string[];
}

const WORDS: Record<string, keyof Filter> = {
  type: "type", server: "serverId", tenant: "tenant", code: "code",
};

export function parse(text: string): Filter {
  const found: Filter = {
    statuses: [], type: "", serverId: "", tenant: "", code: "", labels: {}, unknown: [],
  };
  for (const word of text.split(/\s+/).filter(Boolean)) {
    const at = word.indexOf(":");
    const [name, value] = [word.slice(0, at), word.slice(at + 1)];
    const statuses = value.toUpperCase().split(",") as Status[];
    if (at < 1 || !value) found.unknown.push(word);
    else if (name === "status" && statuses.every((one) => STATUSES.includes(one)))
      found.statuses = statuses;
    else if (name.startsWith("label.") && name.length > 6) found.labels[name.slice(6)] = value;
    else if (WORDS[name]) (found[WORDS[name]] as string) = value;
    else found.unknown.push(word);
  }
  return found;
}

/** Prints what the gateway is asked for tasks of one status. */
export function asked(filter: Filter, status = "", more: Record<string, string | number> = {}) {
  const { type, serverId, tenant, code } = filter;
  const labels = Object.entries(filter.labels).map(([name, value]) => [`labels.${name}`, value]);
  return query({ status, type, serverId, tenant, code, ...Object.fromEntries(labels), ...more });
}

export function fits(task: Task, filter: Filter): boolean {
  const same = (wanted: string, value = "") => !wanted || wanted === value;
  return (
    (!filter.statuses.length || filter.statuses.includes(task.status)) &&
    same(filter.type, task.type) && same(filter.serverId, task.serverId) &&
    same(filter.tenant, task.tenant) && same(filter.code, task.code) &&
    Object.entries(filter.labels).every(([name, value]) => task.labels[name] === value)
  );
}
