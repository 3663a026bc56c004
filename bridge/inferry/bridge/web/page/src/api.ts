// Calls to the gateway that served the page: relative to it, so under any prefix.
import { signal } from "@preact/signals";

/** What the gateway refused, in its own words. */
export class Refused extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    text: string,
  ) {
    super(text);
  }
}

const KEPT = "inferry-token";

/** Who signs the calls: kept for this tab alone, and sent in a header alone. */
export const token = signal(sessionStorage.getItem(KEPT) ?? "");

/** Why the page asks for a token again. */
export const notice = signal("");

export function keep(value: string, why = ""): void {
  notice.value = why;
  if (value) sessionStorage.setItem(KEPT, value);
  else sessionStorage.removeItem(KEPT);
  token.value = value;
}

export const urlOf = (path: string) => new URL(`../${path}`, document.baseURI).href;

/** Calls, and gives the answer once it is a good one. */
export async function call(path: string, more: RequestInit = {}): Promise<Response> {
  const used = token.value;
  const headers: Record<string, string> = { ...(more.headers as Record<string, string>) };
  if (used) headers.Authorization = `Bearer ${used}`;
  if (more.body) headers["Content-Type"] = "application/json";
  let answer: Response;
  try {
    answer = await fetch(urlOf(path), { ...more, headers, credentials: "omit" });
  } catch (error) {
    if (more.signal?.aborted) throw error;
    throw new Refused(0, "UNREACHABLE", "the gateway cannot be reached");
  }
  if (answer.ok) return answer;
  const said = await answer.json().catch(() => ({}));
  const text = said.error ?? said.reason ?? `the gateway answered ${answer.status}`;
  if (answer.status === 401 && used && used === token.value) keep("", text);
  throw new Refused(answer.status, said.code ?? "", text);
}

export async function get<T>(path: string, signal?: AbortSignal): Promise<T> {
  return (await call(path, { signal: signal ?? null })).json();
}

export async function post<T>(path: string, body?: object | string, method = "POST"): Promise<T> {
  const text = typeof body === "object" ? JSON.stringify(body) : body;
  return (await call(path, { method, body: text ?? null })).json();
}

/** Prints what is set as a query. */
export function query(values: Record<string, string | number | undefined>): string {
  const set = Object.entries(values).filter(([, value]) => value !== undefined && value !== "");
  return new URLSearchParams(set.map(([name, value]) => [name, String(value)])).toString();
}
