// Server-sent events by `fetch`: an EventSource cannot say who it is.

export interface Sent {
  event: string;
  data: string;
}

/** Reads a stream's events; `heard` is called for each piece that comes, comments too. */
export async function* sent(answer: Response, heard?: () => void): AsyncGenerator<Sent> {
  const reader = answer.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    heard?.();
    const parts = (rest + value).split("\n\n");
    rest = parts.pop()!;
    for (const part of parts) {
      const one: Sent = { event: "message", data: "" };
      for (const line of part.split("\n")) {
        const [name, text] = [line.slice(0, line.indexOf(":")), line.replace(/^\w*: ?/, "")];
        if (name === "event") one.event = text;
        else if (name === "data") one.data += text;
      }
      if (one.data) yield one;
    }
  }
}
