// What the gateway says, as far as the page reads it.

export type Status = "PENDING" | "PROCESSING" | "COMPLETED" | "FAILED" | "TIMEOUT" | "CANCELLED";
export const STATUSES: readonly Status[] = [
  "PENDING", "PROCESSING", "COMPLETED", "FAILED", "TIMEOUT", "CANCELLED",
];
export const isFinal = (status: Status) => STATUSES.indexOf(status) > 1;

export interface Task {
  id: string;
  type: string;
  status: Status;
  progress: number;
  message?: string;
  error?: string;
  code?: string;
  serverId?: string;
  attempt: number;
  maxAttempts: number;
  timeout: number;
  queueTimeout: number;
  totalTimeout: number;
  silenceTimeout: number;
  resultTtl: number;
  priority: number;
  capabilities: string[];
  labels: Record<string, string>;
  idempotent: boolean;
  async: boolean;
  tenant?: string;
  notBefore?: string;
  createdAt: string;
  updatedAt: string;
  startedAt?: string;
  finishedAt?: string;
  queuePosition?: number;
  queuePositionAtLeast?: boolean;
  estimatedStartAt?: string;
  traceId?: string;
  /** What was too large to send unasked: its bytes. */
  leftOut?: Record<string, number>;
}

export interface TaskEvent {
  taskId: string;
  seq: number;
  kind: string;
  status: Status;
  progress: number;
  message?: string;
  attempt: number;
  serverId?: string;
  time: string;
  type?: string;
  task?: Task;
}

export interface Attempt {
  number: number;
  serverId?: string;
  outcome: string;
  error?: string;
  startedAt: string;
  endedAt?: string;
}

/** One attempt to deliver. */
export interface Try {
  at: string;
  tookMs: number;
  /** 0 without an answer. */
  statusCode: number;
  answer?: string;
}

export interface Delivery {
  /** Of one that came with the task, the task. */
  webhookId: string;
  taskId: string;
  seq: number;
  event: string;
  state: "WAITING" | "DELIVERED" | "FAILED";
  tries: number;
  nextAttemptAt?: string;
  endedAt?: string;
  attempts: Try[];
}

export interface Webhook {
  id: string;
  url: string;
}

export interface Verdict {
  serverId: string;
  name: string;
  rule: string;
  text: string;
  remedy?: string;
  until?: string;
}

export interface Explanation {
  reason: string;
  text: string;
  remedy?: string;
  servers: Verdict[];
}

export interface Server {
  id: string;
  url?: string;
  name: string;
  capabilities: string[];
  maxConcurrent: number;
  metadata?: Record<string, unknown>;
  status: string;
  load?: { cpu: number; memory: number; activeTasks: number; queueLength: number };
  active: number;
  successRate?: number;
  lastSeenAt?: string;
  createdAt: string;
  updatedAt: string;
  lastError?: string;
  breaker: string;
  retryAt?: string;
  transport: string;
  connection?: string;
  tenant?: string;
  labels: Record<string, string>;
  credit?: number;
  workerIdleWithBacklogMs?: number;
}

export interface TypeQueue {
  type: string;
  waiting: number;
  delayed: number;
  paused: boolean;
  pauseReason?: string;
  pausedAt?: string;
  oldestAt?: string;
  tenants: { tenant: string; waiting: number; turns: number }[];
}

export interface Queue {
  waiting: number;
  limit: number;
  leftLastMinute: number;
  types: TypeQueue[];
}
