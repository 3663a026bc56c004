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

function curl(task: Task, payload: string): string {
  const body = quoted(bodyOf(task.type, payload, optionsOf(task)));
  return (
    `curl ${urlOf("api/tasks")} -H "Authorization: Bearer $INFERRY_TOKEN" \\\n` +
    `  -H 'Content-Type: application/json' -d ${body}`
  );
}

function python(task: Task, payload: string): string {
  return (
    "import json\n\nfrom inferry.client import Client\n\nwith Client() as client:\n" +
    `    payload = json.loads(${JSON.stringify(payload)})\n` +
    `    print(client.run(${JSON.stringify(task.type)}, payload))`
  );
}

function grpcurl(task: Task, payload: string): string {
  const { timeout, maxAttempts, ...others } = optionsOf(task);
  const bytes = Array.from(new TextEncoder().encode(payload), (one) => String.fromCharCode(one));
  const words = { type: task.type, payload_json: btoa(bytes.join("")), ...others };
  const body = { ...words, timeout_ms: timeout, max_attempts: maxAttempts };
  return (
    `grpcurl -plaintext -H "authorization: Bearer $INFERRY_TOKEN" \\\n` +
    `  -d ${quoted(JSON.stringify(body))} 127.0.0.1:50051 inferry.v1.TaskService/CreateTask`
  );
}

export const SNIPPETS = { curl, Python: python, grpcurl };
