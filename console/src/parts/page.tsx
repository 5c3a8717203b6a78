import type { ComponentChildren } from "preact";
import { useEffect, useRef } from "preact/hooks";
import { Questions } from "./confirm";
import { Marked } from "./marked";

interface Props {
  /** The title of the screen and of the tab, which the browser keeps in its history after a logout. */
  title: string;
  /** What the heading shows instead of the title, such as the text of an alarm. */
  heading?: ComponentChildren;
  /** One sentence: what the screen is for. */
  about?: string;
  /** The way back to the list. */
  back?: { href: string; words: string };
  actions?: ComponentChildren;
  /** The screen has a list of many columns, which uses a wide window. */
  wide?: boolean;
  children: ComponentChildren;
}

/** The heading of a screen gets the focus when the screen opens, so that a screen reader reads it. */
export function Page({ title, heading: shown = title, about, back, actions, wide, children }: Props) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => {
    document.title = `${title} · Countersign`;
  }, [title]);
  useEffect(() => {
    scrollTo(0, 0);
    heading.current?.focus({ preventScroll: true });
  }, []);
  return (
    <Questions>
      <div class={wide ? "head wide" : "head"}>
        <div>
          {back ? (
            <p class="crumb">
              <a href={back.href}>← {back.words}</a>
            </p>
          ) : null}
          <h1 ref={heading} tabIndex={-1} class="break">
            {shown}
          </h1>
          {about ? (
            <p>
              <Marked>{about}</Marked>
            </p>
          ) : null}
        </div>
        {actions ? <div class="buttons">{actions}</div> : null}
      </div>
      {children}
    </Questions>
  );
}

export function Card({
  title,
  about,
  actions,
  children,
  look = "",
}: {
  title: string;
  about?: string;
  actions?: ComponentChildren;
  children?: ComponentChildren;
  look?: string;
}) {
  return (
    <section class={`card ${look}`}>
      <header>
        <div>
          <h2>{title}</h2>
          {about ? (
            <p>
              <Marked>{about}</Marked>
            </p>
          ) : null}
        </div>
        {actions ? <div class="buttons">{actions}</div> : null}
      </header>
      {children}
    </section>
  );
}

/** Names and values. Values that are absent are left out. */
export function Facts({ facts }: { facts: readonly (readonly [string, ComponentChildren])[] }) {
  return (
    <dl class="facts">
      {facts
        .filter(([, value]) => value !== undefined && value !== null && value !== "")
        .map(([name, value]) => (
          <div key={name} class="fact">
            <dt>{name}</dt>
            <dd class="break">{value}</dd>
          </div>
        ))}
    </dl>
  );
}
