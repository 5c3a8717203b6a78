// People, services, applications, devices and alarms for the screens, made through the site's own operations.
export const ADMIN = { name: "maria", passPhrase: "correct horse battery staple" };
export const MEMBER = { name: "tom", passPhrase: "a pass phrase of tom's own" };

const PEOPLE = [
  ["ada", "Ada Okafor"],
  ["anton", "Anton Weiß"],
  ["bea", "Beatriz Santos"],
  ["chen", "Chen Lihua"],
  ["dora", "Dóra Kovács"],
  ["emil", "Emil Lindqvist"],
  ["farid", "Farid Rahimi"],
  ["grace", "Grace Mbeki"],
];

/** Makes `site` and `other` peers. Returns the id of `other`. */
export async function introduce(site, other) {
  await other.call("person.create", { name: "olga" });
  for (const each of [site, other]) await each.call("peer.start");
  const { uri } = await site.call("peer.ticket", { person: "maria" });
  await other.call("peer.join", { person: "olga", ticket: uri });
  return (await other.call("site.status")).site_id;
}

/** Polls until `ready` answers. */
async function until(ready) {
  while (!(await ready())) await new Promise(setImmediate);
}

/** Messages between people of two peers, and applications that call each other across the sites. */
export async function correspond(site, other) {
  await other.call("peer.send", {
    from: "olga",
    to: "maria@local",
    text: "The new ledger is up since this morning. Does billing reach it?",
  });
  await site.call("peer.send", { from: "maria", to: "oleg@example.org", text: "Are you there?" });
  await until(async () => (await site.call("peer.inbox", { person: "maria" })).entries.length);
  await until(async () =>
    (await site.call("peer.outbox", { person: "maria" })).entries.some(({ state }) => state === "refused"),
  );
  await site.call("app.update", {
    id: "billing",
    allow: [{ foreign: "ledger@example.org" }],
    allow_callers: ["billing@example.org"],
  });
}

/** Fills a site. Returns the place of one alarm. */
export async function fill(site) {
  await site.person(ADMIN.name, ADMIN.passPhrase, {
    full_name: "Maria Lind",
    email: "maria@example.org",
    role: "admin",
  });
  await site.person(MEMBER.name, MEMBER.passPhrase, { full_name: "Tom Baker", email: "tom@example.org" });
  for (const [name, full_name] of PEOPLE)
    await site.call("person.create", { name, full_name, email: `${name}@example.org` });
  await site.call("person.set_data", {
    name: "ada",
    emails: ["ada@example.org", "a.okafor@example.com"],
    telephones: [{ label: "work", number: "+49301234567" }],
    postal_address: { lines: ["Unter den Linden 77"], postal_code: "10117", city: "Berlin", country: "DE" },
    language: "de",
    attributes: { department: "sales", room: "12" },
  });
  await site.call("person.lock", { name: "dora" });
  await site.call("person.disable", { name: "farid" });

  for (const name of ["mailer", "robot"]) {
    await site.run(["key", "new", "--out", `${name}.key`]);
    await site.run(["service", "create", name, "--public-key", `${name}.key.pub`]);
  }
  for (const id of ["ledger", "billing", "reports"]) {
    await site.run(["key", "new", "--out", `${id}.key`]);
    await site.run(["key", "party", `${id}.key`, "--out", `${id}.party`]);
    await site.run(["app", "create", id, "--public-key", `${id}.party`]);
  }
  await site.call("app.update", { id: "billing", allow: [{ app: "ledger" }] });
  await site.call("app.update", { id: "ledger", settings: { groups: ["finance"] } });

  for (const [person, device] of [
    ["tom", "laptop"],
    ["tom", "phone"],
    ["ada", "laptop"],
  ]) {
    const { uri } = await site.call("ticket.issue", { person, kind: "device" });
    await site.run(
      ["enrol", "-", "--id", `${person}@local`, "--device-name", device],
      { COUNTERSIGN_CONFIG_HOME: `${site.folder}/${person}-${device}` },
      uri,
    );
  }
  for (const kind of ["passphrase", "device"]) await site.call("ticket.issue", { person: "ada", kind });

  await site.call("alarm.raise", {
    to: "admins",
    severity: "critical",
    key: "disk",
    text: "Less than 256 MiB are free on the disk of the database.",
  });
  await site.call("alarm.raise", {
    to: "admins",
    severity: "warning",
    key: "queue",
    text: "The queue of the mailer has been growing for an hour.",
  });
  await site.call("alarm.raise", {
    to: "tom",
    severity: "info",
    key: "invoice",
    text: "An invoice waits for your approval.",
  });
  await site.call("lockdown.person", { name: "emil", reason: "the laptop was stolen" });
  for (const service of ["mailer", "robot"]) {
    await site.call("token.create", { service, operations: ["alarm.raise", "alarm.over"], label: "alarms" });
  }
  const { entries } = await site.call("alarm.list", { limit: 1 });
  return entries[0].id;
}
