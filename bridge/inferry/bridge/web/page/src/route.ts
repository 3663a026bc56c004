// Where one is: the part of the address behind `#`, so that it works below any path.
import { signal } from "@preact/signals";

export interface Route {
  /** The name of the page; empty for the first that one may see. */
  page: string;
  /** What it is about, if anything. */
  id: string;
  query: URLSearchParams;
}

const read = (): Route => {
  const [path = "", query] = location.hash.slice(1).split("?");
  const [, page = "", id = ""] = path.split("/");
  return { page, id: decodeURIComponent(id), query: new URLSearchParams(query) };
};

export const route = signal(read());

addEventListener("hashchange", () => {
  route.value = read();
});

export function href(page: string, id = "", values: Record<string, string> = {}): string {
  const query = new URLSearchParams(values).toString();
  return `#/${page}${id && `/${encodeURIComponent(id)}`}${query && `?${query}`}`;
}

export function go(to: string, { replace = false } = {}): void {
  if (replace) history.replaceState(null, "", to);
  else history.pushState(null, "", to);
  route.value = read();
}
