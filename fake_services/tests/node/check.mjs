// The official Node client against the fake: prints one JSON object of what it saw.
// Arguments: host:port of gRPC, URL of a target.
import {createRequire} from 'node:module';

const require = createRequire(import.meta.url);
const {CloudTasksClient} = require('@google-cloud/tasks');
const grpc = require('google-gax').grpc;

const [address, target] = process.argv.slice(2);
const [apiEndpoint, port] = address.split(':');
const client = new CloudTasksClient({
  apiEndpoint,
  port: Number(port),
  sslCreds: grpc.credentials.createInsecure(),
});

const parent = client.locationPath('p', 'us-west1');
const queue = client.queuePath('p', 'us-west1', 'node');
const seen = {};
const [created] = await client.createQueue({parent, queue: {name: queue, retryConfig: {maxAttempts: 3}}});
seen.maxAttempts = created.retryConfig.maxAttempts;
seen.minBackoffNanos = created.retryConfig.minBackoff.nanos;
seen.state = created.state;
await client.pauseQueue({name: queue});
const httpRequest = {url: target, httpMethod: 'POST', body: Buffer.from('from node'), headers: {'X-Node': '1'}};
const [task] = await client.createTask({parent: queue, task: {name: `${queue}/tasks/mine`, httpRequest}});
seen.task = task.name;
seen.view = task.view;
seen.listed = (await client.listTasks({parent: queue}))[0].map(each => each.name);
seen.error = await client
  .createTask({parent: queue, task: {name: `${queue}/tasks/mine`, httpRequest}})
  .then(() => 'none', error => ({code: error.code, details: error.details}));
const [full] = await client.getTask({name: task.name, responseView: 'FULL'});
seen.body = Buffer.from(full.httpRequest.body).toString();
await client.resumeQueue({name: queue});
console.log(JSON.stringify(seen));
await client.close();
