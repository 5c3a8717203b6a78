/**
 * Removes service workers from the origin of the page. The console has none. A program that used the same port before
 * may have left one, which then answers in place of the server. One that an attacker wrote can replace this code too:
 * `countersign console` has another origin at each start for that reason.
 */
export async function removeServiceWorkers(): Promise<void> {
  const { serviceWorker } = navigator;
  if (!serviceWorker) return;
  const found = await serviceWorker.getRegistrations();
  await Promise.all(found.map((registration) => registration.unregister()));
  // The worker goes on to answer for this page until it is loaded anew.
  if (serviceWorker.controller) location.reload();
}
