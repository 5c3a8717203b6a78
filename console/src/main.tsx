/** The start of the console. */
import { connect } from "./site/web";
import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { watchAddress } from "./app/arrival";
import { Root } from "./app/root";
import { comeBack } from "./site/resumption";
import { removeServiceWorkers } from "./site/service-workers";
import { CATALOGUES, Words, preferred, remember, type Language } from "./text/catalogue";

function Start() {
  const [language, set] = useState<Language>(preferred);
  const site = useMemo(connect, []);
  useEffect(() => {
    document.documentElement.lang = language;
  }, [language]);
  const words = useMemo(
    () => ({
      text: CATALOGUES[language],
      language,
      choose: (chosen: Language) => {
        remember(chosen);
        set(chosen);
      },
    }),
    [language],
  );
  return (
    <Words.Provider value={words}>
      <Root site={site} />
    </Words.Provider>
  );
}

const place = document.getElementById("console");
if (place) {
  watchAddress();
  void removeServiceWorkers().catch(() => {});
  // The browser may keep a page that was left, and show it again to the next person. Nothing is left on it.
  addEventListener("pagehide", () => render(null, place));
  addEventListener("pageshow", ({ persisted }) => {
    if (!persisted) return;
    comeBack();
    location.reload();
  });
  render(<Start />, place);
}
