// Who calls: tells the gateway by its token from whoever else can reach this backend. The rules are
// in docs/backends.md, "Who calls"; it needs nothing but Node.
'use strict';

const { createPublicKey, verify } = require('node:crypto');

// Between two looks at the gateway's keys, however many calls name one that nobody knows.
const PAUSE_MS = 10_000;
// After so long a key may have been taken back.
const OLD_MS = 300_000;
// How far the gateway's clock and this one may be apart.
const LEEWAY_S = 60;
const TOKEN = /^Bearer +([\w-]+)\.([\w-]+)\.([\w-]+)$/i;
const TOKEN_LIMIT = 8_192;

// Why a call is not taken: 401 is not the gateway's, 503 nobody can tell now.
class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

// Gives what finds out by which URL the gateway goes that calls; undefined if it signs no calls.
// `gateway` is where its keys are, `ownUrl` gives the URL that this backend is registered with.
function callersOf(gateway, ownUrl) {
  let keys; // By name; undefined until the gateway was reached.
  let failure = '';
  let asked = -Infinity;
  let asking;

  async function fetchKeys() {
    const url = `${gateway}/.well-known/jwks.json`;
    const answer = await fetch(url, { redirect: 'error', signal: AbortSignal.timeout(3_000) });
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    const found = (await answer.json()).keys;
    const usable = found.filter(({ kty, crv }) => kty === 'OKP' && crv === 'Ed25519');
    if (found.length && !usable.length) throw new Error('none is a key of Ed25519');
    const made = (key) => [key.kid, createPublicKey({ key, format: 'jwk' })];
    return new Map(usable.map(made));
  }

  function renew(olderMs = PAUSE_MS) {
    if (asking || performance.now() - asked < olderMs) return;
    asked = performance.now();
    asking = fetchKeys()
      .then((found) => {
        [keys, failure] = [found, ''];
      })
      .catch((error) => {
        failure = `the gateway's keys cannot be had: ${error.message}`;
        console.error(failure);
      })
      .finally(() => {
        asking = undefined;
      });
  }

  async function fetched() {
    renew();
    if (asking) await asking;
    else if (!failure) throw new Refused(503, 'the keys were asked for a moment ago');
    if (failure) throw new Refused(503, failure);
    return keys;
  }

  async function keyOf(kid) {
    if (!keys.has(kid)) return (await fetched()).get(kid);
    renew(OLD_MS);
    return keys.get(kid);
  }

  return async function issuerOf(authorization) {
    if ((keys ?? (await fetched())).size === 0) {
      renew(authorization ? PAUSE_MS : OLD_MS);
      return undefined;
    }
    const [, head, body, signature] = TOKEN.exec(authorization?.slice(0, TOKEN_LIMIT) ?? '') ?? [];
    if (!signature) {
      renew();
      throw new Refused(401, `no token: this backend takes calls of ${gateway} alone`);
    }
    const { kid } = read(head);
    const key = await keyOf(kid);
    if (!key) throw new Refused(401, `the token is signed with no key of ${gateway}`);
    const signed = Buffer.from(`${head}.${body}`);
    if (!verify(null, signed, key, Buffer.from(signature, 'base64url'))) {
      throw new Refused(401, "the token's signature is wrong");
    }
    const { iss, aud, exp } = read(body);
    // As the gateway writes it.
    const own = new URL(ownUrl()).href.replace(/\/$/, '');
    if (aud !== own) throw new Refused(401, `the token is for ${aud}; the URL here is ${own}`);
    if (!(Date.now() / 1000 < exp + LEEWAY_S)) throw new Refused(401, 'the token has expired');
    return iss;
  };
}

function read(part) {
  try {
    return { ...JSON.parse(Buffer.from(part, 'base64url')) };
  } catch {
    throw new Refused(401, 'the token is no JSON Web Token');
  }
}

// Makes what Express asks before each route: the gateway alone has this backend do work.
function onlyFrom(gateway, ownUrl) {
  const issuerOf = callersOf(gateway, ownUrl);
  return async (req, res, next) => {
    const { authorization } = req.headers;
    // Anybody may look; a gateway that calls by a wrong token is to know, though.
    if (req.path === '/health' && authorization === undefined) return next();
    try {
      const issuer = await issuerOf(authorization);
      const callback = req.body?.callback_url;
      if (issuer === undefined || !callback || `${callback}`.startsWith(`${issuer}/`)) return next();
      const error = `callback_url: it has to begin with ${issuer}/`;
      return res.status(403).json({ status: 'error', error, code: 'PERMISSION_DENIED' });
    } catch (error) {
      if (!(error instanceof Refused)) throw error;
      const code = error.status === 401 ? 'UNAUTHENTICATED' : 'UNAVAILABLE';
      // If it is the gateway, all the same, another server gets the task.
      const said = { status: 'error', error: error.message, code, loss: 'not_started' };
      return res.status(error.status).set('Retry-After', '10').json(said);
    }
  };
}

module.exports = { onlyFrom };
