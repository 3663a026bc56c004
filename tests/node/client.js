// Creates a task and watches it to its end, with nothing of Inferry but its .proto files.
// Usage: node client.js TARGET TOKEN TYPE PROTO_DIR...; prints each event as a line of JSON.
'use strict';

const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

const [target, token, type, ...includeDirs] = process.argv.slice(2);
const definition = protoLoader.loadSync('inferry/v1/task_service.proto', {
  includeDirs,
  longs: Number,
  enums: String,
  defaults: true,
});
const { TaskService } = grpc.loadPackageDefinition(definition).inferry.v1;
const client = new TaskService(target, grpc.credentials.createInsecure());
const metadata = new grpc.Metadata();
metadata.set('authorization', `Bearer ${token}`);

// google.protobuf.Struct of an object of numbers.
function struct(numbers) {
  const entries = Object.entries(numbers).map(([key, value]) => [key, { numberValue: value }]);
  return { fields: Object.fromEntries(entries) };
}

function fail(error) {
  console.error(error.message);
  process.exit(1);
}

const task = { type, payload: struct({ steps: 2, seconds: 0.05 }) };
client.createTask(task, metadata, (error, created) => {
  if (error) fail(error);
  const events = client.watchTask({ id: created.task.id }, metadata);
  events.on('data', ({ event }) => console.log(JSON.stringify(event)));
  events.on('error', fail);
  events.on('end', () => client.close());
});
