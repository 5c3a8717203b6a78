// Takes screenshots of all screens: `node test/browser/shots.mjs FOLDER [SCREEN…]`, in both schemes, 320 and 1440 px wide.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ADMIN, MEMBER, correspond, fill, introduce } from "./sample.mjs";
import { launch, logIn, openPage, startConsole, startSite } from "./site.mjs";

/** A filled site with a peer, the console on it, and the places of all screens of an admin. */
export async function stage() {
  const stops = [];
  const started = async (starting, stop = (it) => it.stop()) => {
    const it = await starting;
    stops.unshift(() => stop(it));
    return it;
  };
  const stop = async () => {
    for (const each of stops) await each();
  };
  try {
    const site = await started(startSite());
    const other = await started(startSite("example.org"));
    const alarm = await fill(site);
    const peer = await introduce(site, other);
    await correspond(site, other);
    const console_ = await started(startConsole(site));
    const browser = await started(launch(), (it) => it.close());
    const places = {
      ...PLACES,
      alarm: `#/alarms/${alarm}`,
      peer: `#/peers/${peer}`,
    };
    return { site, console_, browser, places, stop };
  } catch (error) {
    await stop();
    throw error;
  }
}

/** The places of all screens. Those of single objects are of the filled site. */
export const PLACES = {
  overview: "#/",
  alarms: "#/alarms",
  deliveries: "#/alarms/deliveries",
  people: "#/people",
  person: "#/people/ada@local",
  services: "#/services",
  service: "#/services/mailer@local",
  sessions: "#/sessions",
  devices: "#/devices",
  applications: "#/applications",
  application: "#/applications/billing",
  peers: "#/peers",
  options: "#/options",
  keys: "#/keys",
  tokens: "#/tokens",
  lockdown: "#/lockdown",
  audit: "#/audit",
  settings: "#/settings",
  messages: "#/messages",
  profile: "#/profile",
};

/** Buttons that open a dialog, by screen. */
export const DIALOGS = {
  people: ["Create person", "Load from dump", "Pass phrase ticket ada@local", "Lock ada@local"],
  person: ["Edit Account", "Edit Contact data", "Enrol device", "Delete ada@local"],
  alarms: ["Raise alarm", "Edit How your alarms arrive"],
  services: ["Create service"],
  service: ["Add key"],
  applications: ["Register application"],
  application: ["Edit Registration", "Rotate key"],
  peers: ["Peer ticket", "Join a site"],
  peer: ["Change Permissions"],
  options: ["Disable hybrid-aes256gcm", "Enable x25519-aes256gcm"],
  devices: ["Revoke phone"],
  lockdown: ["Lock down local", "Lift person emil@local"],
  tokens: ["Create token"],
  messages: ["Write message"],
  profile: ["Change pass phrase", "Peer ticket", "Join a site"],
};

/** Opens a screen and waits until nothing on it is being read. */
export async function open(page, url, place) {
  await page.goto(`${url}${place}`);
  await page.locator("h1").first().waitFor();
  await page.waitForFunction(() => !document.querySelector("main .waiting"), undefined, { timeout: 20_000 });
}

/** The tallest picture, in pixels. A list goes on below it. */
const TALLEST = 1_600;

/** Takes what the window shows, or the whole page. */
async function save(page, path, whole) {
  const { width, height } = await page.evaluate(() => ({
    width: innerWidth,
    height: Math.max(innerHeight, document.documentElement.scrollHeight),
  }));
  const clip = { x: 0, y: 0, width, height: Math.min(height, TALLEST) };
  await page.screenshot({ path, ...(whole ? { fullPage: true, clip } : {}) });
}

const slug = (name) => name.toLowerCase().replaceAll(/[^a-z]+/g, "-");

/** Takes a screen and the dialogs that its buttons open. */
async function take(page, name, shot) {
  await shot(name);
  for (const button of DIALOGS[name] ?? []) {
    await page.locator("main").getByRole("button", { name: button, exact: true }).first().click();
    const dialog = page.getByRole("dialog");
    await dialog.waitFor();
    await page.waitForFunction(() => !document.querySelector("dialog .waiting"));
    const issue = dialog.getByRole("button", { name: "Issue ticket" });
    if ((await issue.count()) && !["peers", "profile"].includes(name)) {
      await issue.click();
      await dialog.getByRole("img").waitFor();
    }
    await shot(`${name}-${slug(button)}`, false);
    // What is shown once does not close with Escape.
    const close = dialog.getByRole("button", { name: "Close", exact: true });
    if (await close.count()) await close.click();
    else await page.keyboard.press("Escape");
  }
}

async function takeAll({ browser, console_, places }, folder, only) {
  for (const scheme of ["light", "dark"]) {
    for (const width of [1440, 320]) {
      const { page, context, faults } = await openPage(browser, {
        width,
        height: width === 320 ? 640 : 900,
        scheme,
      });
      const shot = (name, whole = true) => save(page, join(folder, `${name}-${scheme}-${width}.png`), whole);
      await page.goto(console_.url);
      await page.locator("h1").waitFor();
      await shot("login");
      await page.goto(`${console_.url}#/ticket`);
      await page.getByRole("heading", { name: /ticket/ }).waitFor();
      await shot("ticket");
      await page.goto(console_.url);
      await logIn(page, console_.url, ADMIN.name, ADMIN.passPhrase);
      for (const [name, place] of Object.entries(places)) {
        if (only.length && !only.includes(name)) continue;
        await open(page, console_.url, place);
        await take(page, name, shot);
      }
      if (faults.length) process.stdout.write(`${faults.join("\n")}\n`);
      await context.close();
    }
  }
  const { page } = await openPage(browser, { language: "de-DE" });
  await logIn(page, console_.url, MEMBER.name, MEMBER.passPhrase);
  for (const name of ["overview", "alarms", "devices", "profile"]) {
    await open(page, console_.url, PLACES[name]);
    await save(page, join(folder, `member-${name}-german-1440.png`), true);
  }
}

if (process.argv[1]?.endsWith("shots.mjs")) {
  const [folder = "test/shots", ...only] = process.argv.slice(2);
  mkdirSync(folder, { recursive: true });
  const staged = await stage();
  try {
    await takeAll(staged, folder, only);
  } finally {
    await staged.stop();
  }
}
