// An inference backend on Express: copy it and put your work into `infer`.
'use strict';

const os = require('node:os');
const { setTimeout: sleep } = require('node:timers/promises');
const axios = require('axios');
const express = require('express');

const CAPABILITIES = ['test-processing'];
const MAX_CONCURRENT = 10;

const app = express();
let activeTasks = 0;

// The gateway does not want this task from us any more.
class Stopped extends Error {}

class TimedOut extends Error {}

// The work itself. This one counts: `steps` steps of `seconds` each, then maybe it fails.
// `signal` aborts when the task's time is over.
async function infer(payload, report, signal) {
  const { steps = 3, seconds = 0.1, fail } = payload;
  for (let step = 1; step <= steps; step += 1) {
    await sleep(1000 * seconds, undefined, { signal });
    await report((100 * step) / steps, `step ${step} of ${steps}`);
  }
  if (fail !== undefined) throw new Error(fail);
  return { steps, echo: payload };
}

app.use(express.json({ limit: '1mb' }));

app.post('/process', async (req, res) => {
  const { payload, callback_url: callbackUrl, timeout } = req.body;
  if (callbackUrl) {
    processAsync(payload, timeout, callbackUrl).catch((error) => console.error(error.message));
    res.json({ status: 'accepted', message: 'Task queued for processing' });
    return;
  }
  try {
    res.json({ status: 'success', result: await run(payload, async () => {}, timeout) });
  } catch (error) {
    const code = error instanceof TimedOut ? 'TIMEOUT' : 'INTERNAL_ERROR';
    res.json({ status: 'error', error: error.message, code });
  }
});

async function processAsync(payload, timeout, callbackUrl) {
  const report = async (progress, message) => {
    const body = { status: 'PROCESSING', progress, message };
    const answer = await send('put', callbackUrl, body);
    // 409: it ended meanwhile, or another attempt runs. `cancelled`: it was cancelled.
    if (answer.status === 409 || answer.data.cancelled) throw new Stopped();
  };
  let final;
  try {
    await report(0, 'started');
    final = { status: 'COMPLETED', result: await run(payload, report, timeout) };
  } catch (error) {
    if (error instanceof Stopped) return;
    final =
      error instanceof TimedOut
        ? { status: 'TIMEOUT', error: error.message }
        : { status: 'FAILED', error: error.message, code: 'INTERNAL_ERROR' };
  }
  await send('put', callbackUrl, final);
}

app.get('/health', (req, res) => {
  res.json({
    status: 'healthy',
    timestamp: Date.now(),
    load: {
      cpu: Math.round((100 * os.loadavg()[0]) / os.cpus().length),
      memory: Math.round(100 * (1 - os.freemem() / os.totalmem())),
      active_tasks: activeTasks,
      queue_length: 0,
    },
    capabilities: CAPABILITIES,
  });
});

// Counts a task as active while it runs, and ends it when its time is over.
async function run(payload, report, timeout) {
  const signal = AbortSignal.timeout(timeout);
  activeTasks += 1;
  try {
    return await infer(payload, report, signal);
  } catch (error) {
    throw error.name === 'AbortError' ? new TimedOut(`not done in ${timeout / 1000} s`) : error;
  } finally {
    activeTasks -= 1;
  }
}

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
    if (answer.status !== 200) throw new Error(`not registered: ${JSON.stringify(answer.data)}`);
  }
  console.log(`backend ready url=${url}`);
}

const listener = app.listen(Number(process.env.PORT ?? 8080), '127.0.0.1', (error) => {
  if (error) throw error;
  register(`http://127.0.0.1:${listener.address().port}`).catch((failure) => {
    console.error(failure.message);
    process.exit(1);
  });
});
