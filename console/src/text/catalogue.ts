/** The catalogues of texts. The English one defines which keys there are; a missing key in another does not compile. */
import { createContext } from "preact";
import { useContext } from "preact/hooks";
import { de } from "./de";
import { en } from "./en";

/** The same keys, with any text and the same parameters. */
export type Same<T> = T extends string
  ? string
  : T extends (...parts: infer Parts) => string
    ? (...parts: Parts) => string
    : { readonly [Key in keyof T]: Same<T[Key]> };

export type Text = Same<typeof en>;
export type Language = "en" | "de";

export const CATALOGUES: Readonly<Record<Language, Text>> = { en, de };
const KEY = "countersign-language";

/** The language chosen before in this browser, or the first one that the browser asks for. */
export function preferred(): Language {
  const wanted = [localStorage.getItem(KEY) ?? "", ...navigator.languages];
  for (const tag of wanted) {
    const language = tag.slice(0, 2).toLowerCase();
    if (language === "en" || language === "de") return language;
  }
  return "en";
}

export function remember(language: Language): void {
  localStorage.setItem(KEY, language);
}

export const Words = createContext<{ text: Text; language: Language; choose: (language: Language) => void }>({
  text: en,
  language: "en",
  choose: () => {},
});

export const useText = (): Text => useContext(Words).text;
export const useLanguage = (): Language => useContext(Words).language;

/** The words of a table for a value of the site; the value itself if a later site knows more values. */
export const wordOf = (words: Readonly<Record<string, string>>, value: string): string =>
  known(words, value) ?? value;

/** The words of a table for a value that may have none. */
export const known = (words: Readonly<Record<string, string>>, value: string): string | undefined =>
  Object.hasOwn(words, value) ? words[value] : undefined;
