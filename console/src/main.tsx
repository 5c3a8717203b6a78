/** The start of the console. */
import { connect } from "./site/web";
import { render } from "preact";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Root } from "./app/root";
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
if (place) render(<Start />, place);
