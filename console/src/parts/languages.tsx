import { useContext } from "preact/hooks";
import { Words, type Language } from "../text/catalogue";

const NAMES: readonly (readonly [Language, string])[] = [
  ["en", "English"],
  ["de", "Deutsch"],
];

export function Languages() {
  const { language, choose } = useContext(Words);
  return (
    <div class="languages">
      {NAMES.map(([tag, name]) => (
        <button
          key={tag}
          type="button"
          class="button link small"
          lang={tag}
          aria-pressed={tag === language}
          onClick={() => choose(tag)}
        >
          {name}
        </button>
      ))}
    </div>
  );
}
