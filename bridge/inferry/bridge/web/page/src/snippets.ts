// The same task once more from elsewhere: as lines to copy. Tokens and URLs of callbacks never are in them.
import { urlOf } from "./api";
import type { Task } from "./types";

const quoted = (text: string) => `'${text.replaceAll("'", `'\\''`)}'`;

/** The options of a task that are not as they are by themselves, as members of a request. */
export function optionsOf(task: Task): Record<string, unknown> {
  const { priority, labels, capabilities, idempotent, maxAttempts, timeout } = task;
  return {
    timeout,
    maxAttempts,
    ...(priority ? { priority } : {}),
    ...(idempotent ? { idempotent } : {}),
    ...(Object.keys(labels).length ? { labels } : {}),
    ...(capabilities.length ? { capabilities } : {}),
  };
}

/** Makes the body of a request to create a task; the payload stays the text that it is. */
export function bodyOf(type: string, payload: string, options: Record<string, unknown>): string {
  const rest = JSON.stringify(options).slice(1, -1);
  return `{"type":${JSON.stringify(type)},"payload":${payload}${rest && `,${rest}`}}`;
}

export function snippets(task: Task, payload: string): [name: string, text: string][] {
  const options = optionsOf(task);
  const body = quoted(bodyOf(task.type, payload, options));
  const { timeout, maxAttempts, ...others } = options;
  const words = { ...others, timeout_ms: timeout, max_attempts: maxAttempts };
  const proto = quoted(
    JSON.stringify({ type: task.type, payload_json: "PAYLOAD", ...words }).replace('"PAYLOAD"', () =>
      JSON.stringify(btoa(String.fromCharCode(...new TextEncoder().encode(payload)))),
    ),
  );
  return [
    ["curl", `curl ${urlOf("api/tasks")} -H "Authorization: Bearer $INFERRY_TOKEN" \\\n` +
      `  -H 'Content-Type: application/json' -d ${body}`],
    ["Python", "import json\n\nfrom inferry.client import Client\n\n" +
      "with Client() as client:\n" +
      `    task = client.submit(${JSON.stringify(task.type)}, json.loads(${JSON.stringify(payload)}))\n` +
      "    print(task.result())"],
    ["grpcurl", `grpcurl -plaintext -H "authorization: Bearer $INFERRY_TOKEN" \\\n` +
      `  -d ${proto} 127.0.0.1:50051 inferry.v1.TaskService/CreateTask`],
  ];
}
