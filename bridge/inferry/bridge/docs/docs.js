
'use strict';

// Characters of an answer that are shown.
const SHOWN = 65536;
const TOKEN = 'inferry-token';
const prefix = document.body.dataset.prefix;
const token = document.getElementById('token');
token.value = sessionStorage.getItem(TOKEN) ?? '';
token.addEventListener('input', () => sessionStorage.setItem(TOKEN, token.value.trim()));

let loading;
const load = () => loading ??= fetch(`${prefix}/openapi.json`).then((answer) => answer.json());

for (const place of document.querySelectorAll('details')) {
  place.addEventListener('toggle', () => open(place), {once: true});
}

async function open(place) {
  const {verb, path} = place.dataset;
  const operation = (await load()).paths[path][verb.toLowerCase()];
  const form = element('form');
  const fields = operation.parameters.map((parameter) => [parameter, entry(form, parameter)]);
  const body = operation.requestBody && writable(form, operation.requestBody);
  const answer = element('pre');
  const stop = element('button', 'Stop');
  stop.type = 'button';
  stop.hidden = true;
  const buttons = element('div');
  buttons.append(element('button', 'Send'), stop);
  form.append(buttons, answer);
  place.append(form);
  form.addEventListener('submit', async (event) => {
    event.preventDefault();
    const abort = new AbortController();
    stop.onclick = () => abort.abort();
    stop.hidden = false;
    try {
      await show(answer, await send(verb, path, fields, body, abort.signal));
    } catch (error) {
      answer.append(`\n${error.message}`);
    }
    stop.hidden = true;
  });
}

function element(name, text = '') {
  const made = document.createElement(name);
  made.textContent = text;
  return made;
}

function entry(form, {name, required, schema, description}) {
  const input = element('input');
  input.required = Boolean(required);
  labelled(form, `${name}${required ? ' (required)' : ''}`, input, hint(schema, description));
  return input;
}

function hint(schema, description = '') {
  const how = {array: ' Separated by spaces.', object: ' As key=value, separated by spaces.'};
  return `${schema.description ?? description}${how[schema.type] ?? ''}`;
}

function writable(form, {content}) {
  const text = element('textarea');
  text.spellcheck = false;
  text.value = JSON.stringify(content['application/json'].example ?? {}, null, 2);
  labelled(form, 'Body', text, '');
  return text;
}

function labelled(form, name, input, words) {
  const label = element('label', name);
  label.append(input, element('small', words));
  form.append(label);
}

async function send(verb, path, fields, body, signal) {
  const headers = new Headers();
  const query = new URLSearchParams();
  if (token.value.trim()) headers.set('Authorization', `Bearer ${token.value.trim()}`);
  for (const [parameter, input] of fields) {
    const value = input.value.trim();
    if (parameter.in === 'path') path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
    else if (value && parameter.in === 'header') headers.set(parameter.name, value);
    else if (value) say(query, parameter, value);
  }
  const text = body?.value.trim();
  if (text) headers.set('Content-Type', 'application/json');
  const url = `${prefix}${path}${query.size ? `?${query}` : ''}`;
  return fetch(url, {
    method: verb, headers, body: text || undefined, signal,
    cache: 'no-store', credentials: 'omit', redirect: 'error', referrerPolicy: 'no-referrer',
  });
}

function say(query, {name, schema}, value) {
  if (schema.type !== 'array' && schema.type !== 'object') return query.append(name, value);
  for (const one of value.split(/\s+/)) {
    const [key, ...rest] = one.split('=');
    if (schema.type === 'array') query.append(name, one);
    else query.append(`${name}.${key}`, rest.join('='));
  }
}

// As text: a number that JavaScript has not stays as it came. A stream is shown as it comes.
async function show(answer, response) {
  answer.textContent = `${response.status} ${response.statusText}\n`;
  for (const name of ['location', 'retry-after', 'x-request-id']) {
    if (response.headers.has(name)) answer.append(`${name}: ${response.headers.get(name)}\n`);
  }
  answer.append('\n');
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  for (let shown = 0; reader; ) {
    const {done, value} = await reader.read();
    if (done) return;
    answer.append(value.slice(0, SHOWN - shown));
    shown += value.length;
    if (shown > SHOWN) {
      answer.append('\n(there is more)');
      return reader.cancel();
    }
  }
}
