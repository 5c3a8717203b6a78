// Takes screenshots of all screens: `node test/browser/shots.mjs FOLDER [SCREEN…]`, in both schemes, 320 and 1440 px wide.
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { ADMIN, fill } from "./sample.mjs";
import { launch, logIn, openPage, startBridge, startSite } from "./site.mjs";

export const ADMIN_PLACES = {
  overview: "#/",
  alarms: "#/alarms",
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
  lockdown: "#/lockdown",
  audit: "#/audit",
  settings: "#/settings",
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
  options: ["Disable hybrid-aes256gcm", "Enable x25519-aes256gcm"],
  keys: ["Test a secret", "Add slot", "Set pass phrase", "New recovery code", "Make the next key current"],
  lockdown: ["Lock down local"],
  profile: ["Change pass phrase"],
};

/** Opens a screen and waits until nothing on it is being read. */
export async function open(page, url, place) {
  await page.goto(`${url}${place}`);
  await page.locator("h1").first().waitFor();
  await page.waitForFunction(() => !document.querySelector("main .waiting"), undefined, { timeout: 20_000 });
}

async function takeAll(browser, bridge, folder, only) {
  for (const scheme of ["light", "dark"]) {
    for (const width of [1440, 320]) {
      const options = { width, height: width === 320 ? 640 : 900, scheme };
      const { page, context, faults } = await openPage(browser, options);
      const shot = async (name) => {
        if (only.length && !only.includes(name)) return;
        await page.screenshot({ path: join(folder, `${name}-${scheme}-${width}.png`), fullPage: true });
      };
      await page.goto(bridge.url);
      await page.locator("h1").waitFor();
      await shot("login");
      await page.goto(`${bridge.url}#/ticket`);
      await shot("ticket");
      await page.goto(bridge.url);
      await logIn(page, bridge.url, ADMIN.name, ADMIN.passPhrase);
      for (const [name, place] of Object.entries(ADMIN_PLACES)) {
        if (only.length && !only.includes(name)) continue;
        await open(page, bridge.url, place);
        const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
        if (wide > 0) console.log(`${name} at ${width}: ${wide} px too wide`);
        await shot(name);
        for (const [at, button] of (DIALOGS[name] ?? []).entries()) {
          await page.locator("main").getByRole("button", { name: button, exact: true }).click();
          const dialog = page.getByRole("dialog");
          await dialog.waitFor();
          const issue = dialog.getByRole("button", { name: "Issue ticket" });
          if ((await issue.count()) && name !== "peers") {
            await issue.click();
            await dialog.getByRole("img").waitFor();
          }
          await page.screenshot({ path: join(folder, `${name}-dialog-${at + 1}-${scheme}-${width}.png`) });
          await page.keyboard.press("Escape");
        }
      }
      if (faults.length) console.log(faults.join("\n"));
      await context.close();
    }
  }
}

if (process.argv[1]?.endsWith("shots.mjs")) {
  const [folder = "test/shots", ...only] = process.argv.slice(2);
  mkdirSync(folder, { recursive: true });
  const site = await startSite();
  const stops = [() => site.stop()];
  try {
    await fill(site);
    const bridge = await startBridge(site);
    stops.unshift(() => bridge.stop());
    const browser = await launch();
    stops.unshift(() => browser.close());
    await takeAll(browser, bridge, folder, only);
  } finally {
    for (const stop of stops) await stop();
  }
}
