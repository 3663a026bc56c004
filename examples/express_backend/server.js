// An inference backend on Express: copy it and put your work into `infer`.
'use strict';

const os = require('node:os');
const { setTimeout: sleep } = require('node:timers/promises');
const axios = require('axios');
const express = require('express');
const { onlyFrom } = require('./caller');

const CAPABILITIES = ['test-processing'];
const MAX_CONCURRENT = 10;

const app = express();

// What stops the work under way, by task and attempt.
const running = new Map();

// Why a task is stopped: the gateway does not want it any more, or its time is over.
class Stopped extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// The work itself. This one counts: `steps` steps of `seconds` each, then maybe it fails.
// `signal` aborts when nobody wants the result any more, or its time is over: stop what you
// started, and throw.
async function infer(payload, report, signal) {
  const { steps = 3, seconds = 0.1, fail } = payload;
  signal.addEventListener('abort', () => console.log('work stopped'));
  // Also asks whether it is still wanted: a cancel may have overtaken the task.
  await report(0, 'started');
  for (let step = 1; step <= steps; step += 1) {
    await sleep(1000 * seconds, undefined, { signal });
    await report((100 * step) / steps, `step ${step} of ${steps}`);
  }
  if (fail !== undefined) throw new Error(fail);
  return { steps, echo: payload };
}

app.use(express.json({ limit: '1mb' }));
if (process.env.GATEWAY_URL) app.use(onlyFrom(process.env.GATEWAY_URL, ownUrl));

app.post('/process', async (req, res) => {
  if (req.body.callback_url) {
    processAsync(req.body).catch((error) => console.error(error.message));
    res.json({ status: 'accepted', message: 'Task queued for processing' });
    return;
  }
  const controller = new AbortController();
  // The gateway hangs up when nobody waits any more.
  res.on('close', () => res.writableFinished || cancel(controller));
  const final = await run(req.body, async () => {}, controller);
  res.json(
    final.status === 'COMPLETED'
      ? { status: 'success', result: final.result }
      : { ...final, status: 'error' },
  );
});

async function processAsync(job) {
  const controller = new AbortController();
  const report = async (progress, message) => {
    const body = { status: 'PROCESSING', progress, message };
    const answer = await send('put', job.callback_url, body);
    // 409: it ended meanwhile, or another attempt runs. `cancelled`: it was cancelled.
    if (answer.status === 409 || answer.data.cancelled) cancel(controller);
    controller.signal.throwIfAborted();
  };
  const final = await run(job, report, controller);
  if (final.status !== 'CANCELLED') await send('put', job.callback_url, final);
}

// Works within the time that the task has, and where `/cancel` finds it; gives its last report.
async function run(job, report, controller) {
  const { payload, timeout } = job;
  const { signal } = controller;
  const timer = setTimeout(() => {
    controller.abort(new Stopped('TIMEOUT', `not done in ${timeout / 1000} s`));
  }, timeout);
  running.set(keyOf(job), controller);
  try {
    return { status: 'COMPLETED', result: await infer(payload, report, signal) };
  } catch (error) {
    if (!signal.aborted) return { status: 'FAILED', error: error.message, code: 'INTERNAL_ERROR' };
    const { status, message } = signal.reason;
    return { status, error: message, code: status };
  } finally {
    clearTimeout(timer);
    running.delete(keyOf(job));
  }
}

app.post('/cancel', (req, res) => {
  const controller = running.get(keyOf(req.body));
  if (controller) cancel(controller);
  res.json({ cancelled: controller !== undefined });
});

function cancel(controller) {
  controller.abort(new Stopped('CANCELLED', 'cancelled'));
}

// Tells one attempt of a task from the next, which may run here, too.
function keyOf({ id, attempt = 1 }) {
  return `${id}/${attempt}`;
}

app.get('/health', (req, res) => {
  res.json({
    status: 'healthy',
    timestamp: Date.now(),
    load: {
      cpu: Math.round((100 * os.loadavg()[0]) / os.cpus().length),
      memory: Math.round(100 * (1 - os.freemem() / os.totalmem())),
      active_tasks: running.size,
      queue_length: 0,
    },
    capabilities: CAPABILITIES,
  });
});

// Sends until the gateway answers: a callback that is lost is work that is lost.
async function send(method, url, data, token) {
  const headers = token ? { Authorization: `Bearer ${token}` } : {};
  const request = { method, url, data, headers, validateStatus: (status) => status < 500 };
  for (const pause of [200, 500, 1000, 2000, 4000, 8000]) {
    try {
      return await axios.request(request);
    } catch {
      await sleep(pause);
    }
  }
  return axios.request(request);
}

// Tells the gateway where we are, if the environment tells us where the gateway is.
async function register(url) {
  const { GATEWAY_URL: gateway, INFERRY_TOKEN: token } = process.env;
  if (gateway) {
    const body = {
      url,
      name: 'express-backend',
      capabilities: CAPABILITIES,
      maxConcurrent: MAX_CONCURRENT,
    };
    const answer = await send('post', `${gateway}/api/servers/register`, body, token);
    if (answer.status !== 200) throw new Error(`not registered: ${answer.data.error}`);
    for (const signal of ['SIGTERM', 'SIGINT']) {
      // A second one ends it at once.
      process.once(signal, () => leave(`${gateway}/api/servers/${answer.data.id}`, token));
    }
  }
  console.log(`backend ready url=${url}`);
}

// Deregisters: the gateway sends no more tasks, and answers when those that run here have ended.
async function leave(url, token) {
  const headers = { Authorization: `Bearer ${token}` };
  await axios.delete(url, { headers, timeout: 40_000 }).catch((failure) => {
    console.error(`not deregistered: ${failure.message}`);
  });
  process.exit(0);
}

// Where the gateway reaches us.
function ownUrl() {
  return `http://127.0.0.1:${listener.address().port}`;
}

const listener = app.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', (error) => {
  if (error) throw error;
  register(ownUrl()).catch((failure) => {
    console.error(failure.message || `no gateway answers: ${failure.code}`);
    process.exit(1);
  });
});
