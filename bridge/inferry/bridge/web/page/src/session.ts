// Who looks at the page, and what they may do: in the gateway's own words.
import { computed, effect, signal } from "@preact/signals";

import { get, keep, notice, post, Refused, token } from "./api";

export interface Who {
  subject: string;
  tenant: string;
  roles: string[];
}

export const who = signal<Who | null>(null);

const has = (...roles: string[]) => computed(() => roles.some((one) => who.value?.roles.includes(one)));
export const isAdmin = has("admin");
export const mayTasks = has("admin", "client");
export const mayServers = has("admin", "backend");

/** Whether payloads and results are not to be shown here. */
export const hidesPayload =
  document.querySelector<HTMLMetaElement>("meta[name=hide-payload]")?.content === "true";

effect(() => {
  const used = token.value;
  if (!used) {
    who.value = null;
    return;
  }
  const ask = async () => {
    try {
      const found = await get<Who>("api/whoami");
      if (token.peek() === used) who.value = found;
    } catch (error) {
      notice.value = (error as Error).message;
      // Nobody said that the token is wrong: the gateway is not there yet.
      if (error instanceof Refused && error.status !== 401 && token.peek() === used)
        setTimeout(ask, 2_000);
    }
  };
  void ask();
});

/** Changes the code of an address for a token; the address forgets it first. */
export async function exchangeCode(): Promise<void> {
  const code = /^#code=([\w.~-]+)$/.exec(location.hash)?.[1];
  if (!code) return;
  history.replaceState(null, "", location.pathname);
  try {
    keep((await post<{ token: string }>("api/codes/exchange", { code })).token);
  } catch (error) {
    keep("", (error as Error).message);
  }
}
