// Calls functions of @serenity-kit/opaque for `main.rs`: a line of JSON in, a line of JSON out.
import * as opaque from "@serenity-kit/opaque";
import { createInterface } from "node:readline";

await opaque.ready;
for await (const line of createInterface({ input: process.stdin })) {
  const [side, name, params] = JSON.parse(line);
  console.log(JSON.stringify(opaque[side][name](params) ?? null));
}
