import { useLanguage } from "../text/catalogue";

/** The browser's locale if it is of the language, since it says how dates are written: en-GB, de-CH. */
const localeOf = (language: string): string =>
  navigator.languages.find((tag) => tag.slice(0, 2) === language) ?? language;

const STEPS: readonly (readonly [Intl.RelativeTimeFormatUnit, number])[] = [
  ["day", 86_400],
  ["hour", 3_600],
  ["minute", 60],
  ["second", 1],
];

/** Writes the date and the time to the second. */
export function useExact(): (at: string) => string {
  const language = useLanguage();
  const format = new Intl.DateTimeFormat(localeOf(language), { dateStyle: "medium", timeStyle: "medium" });
  return (at) => format.format(new Date(at));
}

/** Within two days relative to now, otherwise the date. The exact time is in the title. */
export function Time({ at }: { at: string | null | undefined }) {
  const language = useLanguage();
  const exact = useExact();
  if (!at) return null;
  const date = new Date(at);
  const seconds = Math.round((date.getTime() - Date.now()) / 1000);
  const [unit, length] = STEPS.find(([, step]) => Math.abs(seconds) >= step) ?? ["second", 1];
  const near = Math.abs(seconds) < 2 * 86_400;
  const words = near
    ? new Intl.RelativeTimeFormat(language, { numeric: "auto" }).format(Math.trunc(seconds / length), unit)
    : new Intl.DateTimeFormat(localeOf(language), { dateStyle: "medium" }).format(date);
  return (
    <time dateTime={at} title={exact(at)}>
      {words}
    </time>
  );
}

/** The date and the time to the second. */
export function Exact({ at }: { at: string }) {
  const exact = useExact();
  return <time dateTime={at}>{exact(at)}</time>;
}

const UNITS: readonly (readonly [string, number])[] = [
  ["hour", 3_600_000],
  ["minute", 60_000],
  ["second", 1_000],
  ["millisecond", 1],
];

/** Whether a number of seconds is a length of time. */
export const isLength = (seconds: number): boolean => Number.isSafeInteger(seconds) && seconds > 0;

/** A length of time without a remainder: 90 days, but 25 hours. Nothing for a number that is no length. */
export function Span({ seconds }: { seconds: number }) {
  const language = useLanguage();
  if (!isLength(seconds)) return null;
  const [unit, length] = STEPS.find(([, step]) => seconds % step === 0) ?? ["second", 1];
  const format = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" });
  return <>{format.format(seconds / length)}</>;
}

/** A length of time in its largest whole unit, rounded up. */
export function Duration({ milliseconds }: { milliseconds: number }) {
  const language = useLanguage();
  const [unit, length] = UNITS.find(([, step]) => milliseconds >= step) ?? ["millisecond", 1];
  const format = new Intl.NumberFormat(language, { style: "unit", unit, unitDisplay: "long" });
  return <>{format.format(Math.ceil(milliseconds / length))}</>;
}
