// Runs a handler as Lambda's runtime for Node.js does: a client of the Runtime API, on Node's own modules alone.
// The texts and kinds of errors are those of aws-lambda-ric.
'use strict';
const fs = require('node:fs');
const http = require('node:http');
const path = require('node:path');
const { pathToFileURL } = require('node:url');
const { Writable } = require('node:stream');
const { types } = require('node:util');

const [host, port] = process.env.AWS_LAMBDA_RUNTIME_API.split(':');
const API = '/2018-06-01/runtime';
const STREAMING = Symbol.for('aws.lambda.runtime.handler.streaming');
const agent = new http.Agent({ keepAlive: true, maxSockets: 1 });

globalThis.awslambda = {
  streamifyResponse(handler, options) {
    handler[STREAMING] = 'response';
    return handler;
  },
  HttpResponseStream: {
    from(stream, prelude) {
      stream.setContentType('application/vnd.awslambda.http-integration-response');
      stream.write(JSON.stringify(prelude));
      stream.write(Buffer.alloc(8));
      return stream;
    },
  },
};

function request(method, where, headers = {}) {
  return http.request({ host, port, method, path: API + where, headers, agent });
}

function exchange(method, where, body, headers = {}) {
  return new Promise((resolve, reject) => {
    if (body !== undefined) headers['Content-Length'] = Buffer.byteLength(body);
    const sent = request(method, where, headers);
    sent.on('error', reject);
    sent.on('response', (response) => {
      const chunks = [];
      response.on('data', (chunk) => chunks.push(chunk));
      response.on('end', () => resolve({ headers: response.headers, body: Buffer.concat(chunks).toString() }));
    });
    sent.end(body);
  });
}

class Fault extends Error {
  constructor(kind, message) {
    super(message);
    this.name = `Runtime.${kind}`;
  }
}

function described(error) {
  try {
    const texts = ['name', 'message', 'stack'].map((key) => error?.[key]);
    if (types.isNativeError(error) || texts.every((text) => text && typeof text === 'string')) {
      const [errorType, errorMessage, stack] = texts.map((text) => text?.replace(/\x7F/g, '%7F'));
      return { errorType, errorMessage, trace: stack.split('\n') };
    }
    return { errorType: typeof error, errorMessage: error.toString(), trace: [] };
  } catch {
    return {
      errorType: 'handled',
      errorMessage:
        'callback called with Error argument, but there was a problem while retrieving one or more of its message, name, and stack',
    };
  }
}

function fail(where, error, requestId) {
  const document = described(error);
  process.stdout.write(
    `${new Date().toISOString()}\t${requestId ?? 'undefined'}\tERROR\t${requestId ? 'Invoke Error' : 'Uncaught Exception'} \t${JSON.stringify({ ...document, stack: document.trace, trace: undefined })}\n`,
  );
  return exchange('POST', where, JSON.stringify(document), {
    'Content-Type': 'application/json',
    'Lambda-Runtime-Function-Error-Type': document.errorType,
  });
}

async function load(file) {
  for (const end of ['', '.js', '.mjs', '.cjs']) {
    const found = file + end;
    if (!fs.existsSync(found) || !fs.statSync(found).isFile()) continue;
    if (end === '.mjs') return import(pathToFileURL(found));
    try {
      return require(found);
    } catch (error) {
      if (error.code !== 'ERR_REQUIRE_ESM' && error.code !== 'ERR_REQUIRE_ASYNC_MODULE') throw error;
      return import(pathToFileURL(found));
    }
  }
  throw Object.assign(new Error(`Cannot find module '${path.basename(file)}'\nRequire stack:\n- ${__filename}`), { code: 'MODULE_NOT_FOUND' });
}

async function handlerNamed(name) {
  if (name.includes('..')) throw new Fault('MalformedHandlerName', `'${name}' is not a valid handler name. Use absolute paths when specifying root directories in handler names.`);
  const directory = path.dirname(name);
  const parts = /^([^.]*)\.(.+)$/.exec(path.basename(name));
  if (!parts) throw new Fault('MalformedHandlerName', 'Bad handler');
  let module;
  try {
    module = await load(path.resolve(process.env.LAMBDA_TASK_ROOT, directory, parts[1]));
  } catch (error) {
    if (error instanceof SyntaxError) throw new Fault('UserCodeSyntaxError', String(error));
    if (error.code === 'MODULE_NOT_FOUND' || error.code === 'ERR_MODULE_NOT_FOUND') throw new Fault('ImportModuleError', String(error));
    throw error;
  }
  const handler = parts[2].split('.').reduce((value, key) => value?.[key], module);
  if (handler === undefined || handler === null) throw new Fault('HandlerNotFound', `${name} is undefined or not exported`);
  if (typeof handler !== 'function') throw new Fault('HandlerNotFound', `${name} is not a function`);
  return handler;
}

function contextOf(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms']);
  return {
    callbackWaitsForEmptyEventLoop: true,
    functionVersion: process.env.AWS_LAMBDA_FUNCTION_VERSION,
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    memoryLimitInMB: process.env.AWS_LAMBDA_FUNCTION_MEMORY_SIZE,
    logGroupName: process.env.AWS_LAMBDA_LOG_GROUP_NAME,
    logStreamName: process.env.AWS_LAMBDA_LOG_STREAM_NAME,
    clientContext: undefined,
    identity: undefined,
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    tenantId: headers['lambda-runtime-aws-tenant-id'],
    getRemainingTimeInMillis: () => deadline - Date.now(),
  };
}

// Calls a handler that returns a promise or calls back.
function answer(handler, event, context) {
  return new Promise((resolve, reject) => {
    let called = false;
    const settle = (error, result) => {
      called = true;
      const done = () => (error === undefined || error === null ? resolve(result) : reject(error));
      if (context.callbackWaitsForEmptyEventLoop) process.once('beforeExit', done);
      else done();
    };
    context.done = settle;
    context.succeed = (result) => settle(null, result);
    context.fail = (error) => settle(error ?? 'handled', undefined);
    const result = handler(event, context, settle);
    if (typeof result?.then === 'function') result.then(resolve, reject);
    // One that neither calls back nor returns a promise responds with null once nothing is left to do.
    else process.once('beforeExit', () => called || resolve(null));
  });
}

class ResponseStream extends Writable {
  constructor(where) {
    super();
    this.finished = new Promise((resolve, reject) => {
      this.open = () => {
        if (this.sent) return;
        this.sent = request('POST', where, {
          'Content-Type': this.type ?? 'application/octet-stream',
          'Lambda-Runtime-Function-Response-Mode': 'streaming',
          'Transfer-Encoding': 'chunked',
          Trailer: 'Lambda-Runtime-Function-Error-Type, Lambda-Runtime-Function-Error-Body',
        });
        this.sent.on('response', (response) => response.resume().on('end', resolve));
        this.sent.on('error', reject);
      };
    });
  }
  setContentType(type) {
    this.type = type;
  }
  _write(chunk, encoding, done) {
    this.open();
    this.sent.write(chunk, done);
  }
  _final(done) {
    this.open();
    this.sent.end();
    done();
  }
  break(error) {
    const document = described(error);
    this.open();
    this.sent.addTrailers({
      'Lambda-Runtime-Function-Error-Type': document.errorType,
      'Lambda-Runtime-Function-Error-Body': Buffer.from(JSON.stringify(document)).toString('base64'),
    });
    this.sent.end();
    return this.finished;
  }
}

async function serve(handler) {
  const { headers, body } = await exchange('GET', '/invocation/next');
  const requestId = headers['lambda-runtime-aws-request-id'];
  process.env._X_AMZN_TRACE_ID = headers['lambda-runtime-trace-id'];
  const context = contextOf(headers);
  const where = `/invocation/${requestId}`;
  try {
    const event = JSON.parse(body);
    if (handler[STREAMING]) {
      const stream = new ResponseStream(`${where}/response`);
      try {
        await handler(event, stream, context);
        await stream.finished;
      } catch (error) {
        await stream.break(error);
      }
      return;
    }
    const result = await answer(handler, event, context);
    let text;
    try {
      text = JSON.stringify(result === undefined ? null : result) ?? 'null';
    } catch (error) {
      throw new Error('Unable to stringify response body');
    }
    await exchange('POST', `${where}/response`, text, { 'Content-Type': 'application/json' });
  } catch (error) {
    await fail(`${where}/error`, error ?? 'handled', requestId);
  }
}

function crash(error) {
  fail('/init/error', error).finally(() => process.exit(129));
}

(async () => {
  let handler;
  try {
    handler = await handlerNamed(process.env._HANDLER);
  } catch (error) {
    await fail('/init/error', error);
    process.exit(1);
  }
  process.on('uncaughtException', (error) => fail('/invocation/unknown/error', error).finally(() => process.exit(129)));
  process.on('unhandledRejection', (reason) => {
    throw Object.assign(new Error(String(reason)), { name: 'Runtime.UnhandledPromiseRejection' });
  });
  for (;;) await serve(handler);
})().catch(crash);
