// Accessibility of what the other tests do not open: `countersign console` on a site without anything but an admin,
// and the reference of the API that the site serves. axe-core in both schemes and at both widths.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { lookerOn } from "./axe.mjs";
import { ADMIN } from "./sample.mjs";
import { PLACES, open } from "./shots.mjs";
import { fillLogin, launch, openPage, startRelay, startSite } from "./site.mjs";

/** The screens of an object, which an empty site does not have. */
const OF_OBJECTS = ["person", "service", "application"];
let site, http, relay, browser;

before(async () => {
  site = await startSite();
  await site.person(ADMIN.name, ADMIN.passPhrase, { role: "admin" });
  http = `http://${(await site.call("site.status")).listen.http}`;
  relay = await startRelay(["--site", site.uri], {
    COUNTERSIGN_CONFIG_HOME: site.folder,
    XDG_STATE_HOME: site.folder,
  });
  browser = await launch();
});

after(async () => {
  await browser?.close();
  await relay?.stop();
  await site?.stop();
});

for (const width of [1440, 320]) {
  const size = { width, height: width === 320 ? 640 : 900 };

  test(`axe finds no violation in \`countersign console\` on an empty site, ${width} px wide`, async () => {
    const { page, context, faults } = await openPage(browser, size);
    await page.goto(relay.url);
    const { found, look } = await lookerOn(page);
    await page.locator("h1").waitFor();
    await look("login");
    await page.goto(`${relay.url}#/ticket`);
    await page.getByText("This console takes no tickets").waitFor();
    await look("ticket");
    await page.getByRole("link", { name: /Back to the login/ }).click();
    await fillLogin(page, ADMIN.name, ADMIN.passPhrase);
    for (const [name, place] of Object.entries(PLACES)) {
      if (OF_OBJECTS.includes(name)) continue;
      await open(page, relay.url, place);
      await look(name);
    }
    assert.deepEqual([...found, ...faults], []);
    await context.close();
  });

  test(`axe finds no violation in the reference of the API, ${width} px wide`, async () => {
    const { page, context, faults } = await openPage(browser, size);
    await page.goto(`${http}/api/v1/docs`);
    const { found, look } = await lookerOn(page);
    await look("reference");
    assert.deepEqual([...found, ...faults], []);
    await context.close();
  });
}
