// Sends a file with tus-js-client: node send.js ENDPOINT FILE, the token in the environment.
import { createReadStream } from "node:fs";
import { basename } from "node:path";
import { Upload } from "tus-js-client";

const [endpoint, path] = process.argv.slice(2);

new Upload(createReadStream(path), {
  endpoint,
  headers: { Authorization: `Bearer ${process.env.TOKEN}` },
  metadata: { job: "inspect", filename: basename(path) },
  retryDelays: Array(40).fill(100),
  onError: (error) => {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess() {
    console.log(this.url ?? "sent");
  },
}).start();
