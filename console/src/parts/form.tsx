/** Forms. A failure that names a field is shown at the field, any other next to the button. */
import type { ComponentChildren } from "preact";
import { createContext } from "preact";
import { useContext, useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import type { Doing } from "../app/queries";
import { LOCAL, type Refusal } from "../site/contract";
import { useText } from "../text/catalogue";
import { Button, type Look } from "./button";
import { Marked } from "./marked";
import { Failed, SentLater, hintOf, sentence } from "./states";

/** The field that has the parameter of a failure: the parameter itself, or the list or object that it is in. */
export function fieldOf(failure: Refusal | undefined, fields: ReadonlySet<string>): string | undefined {
  let path = failure?.field ?? "";
  while (path && !fields.has(path))
    path = path.slice(0, Math.max(path.lastIndexOf("."), path.lastIndexOf("["), 0));
  return path || undefined;
}

/** A field, or a group of fields, that has to be changed. */
const WRONG = "[aria-invalid=true], fieldset[aria-describedby]";

/** The field of one's own pass phrase. */
export const PROOF = "current";

interface Scope {
  failure: Refusal | undefined;
  /** Fields that the form shows, so that a failure at another field is shown next to the button. */
  fields: Set<string>;
  /** Fields that did not take what was entered last. Without it, the form would do something else than was asked. */
  refusing: Set<string>;
  /** Whether the pass phrases of the form are shown. */
  isSeen: boolean;
  see: (isSeen: boolean) => void;
  /** The field of a pass phrase that has the button for all of them: the first. */
  shower: { id?: string | undefined };
}

const FormScope = createContext<Scope>({
  failure: undefined,
  fields: new Set(),
  refusing: new Set(),
  isSeen: false,
  see: () => {},
  shower: {},
});

interface FormProps {
  doing: Doing;
  send: () => Promise<unknown>;
  done?: () => void;
  button: string;
  /** The words on the button while the form is being sent; by default they change only where a pass phrase is proved. */
  busy?: string;
  look?: Look;
  /** Leaves the form without effect. */
  cancel?: () => void;
  /** Fields beside each other, with the button at their end. */
  row?: boolean;
  children: ComponentChildren;
}

export function Form({
  doing,
  send,
  done,
  button,
  busy,
  look = "main",
  cancel,
  row = false,
  children,
}: FormProps) {
  const text = useText();
  // It outlives a rendering: fields whose parameters stay the same are not rendered again before `Rest` is.
  const kept = useRef({ fields: new Set<string>(), refusing: new Set<string>(), shower: {} }).current;
  const { fields, refusing } = kept;
  const [isSeen, see] = useState(false);
  const { failure } = doing;
  const scope = { ...kept, failure, isSeen, see };
  // The client stretches the pass phrase, which takes a second or more.
  const proving = fields.has(PROOF) ? text.common.proving : button;
  return (
    <form
      class={row ? "form row" : "form"}
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        const form = event.currentTarget;
        const focusWrong = () => form.querySelector<HTMLElement>(WRONG)?.focus();
        if (refusing.size) return focusWrong();
        see(false);
        void doing.run(send).then((ok) => {
          if (ok) done?.();
          else requestAnimationFrame(focusWrong);
        });
      }}
    >
      <FormScope.Provider value={scope}>
        {children}
        <div class="send">
          <Rest scope={scope} />
          <SentLater busy={doing.busy} cancels={cancel !== undefined} />
          <div class="buttons">
            {cancel ? <Button onClick={cancel}>{text.common.cancel}</Button> : null}
            <Button look={look} type="submit" busy={doing.busy}>
              {doing.busy ? (busy ?? proving) : button}
            </Button>
          </div>
        </div>
      </FormScope.Provider>
    </form>
  );
}

/** The failure, unless a field before this shows it. */
function Rest({ scope }: { scope: Scope }) {
  return <Failed failure={fieldOf(scope.failure, scope.fields) ? undefined : scope.failure} />;
}

interface FieldProps {
  label: string;
  /** The parameter of the operation that the field fills, as failures name it. */
  field?: string;
  help?: ComponentChildren;
  /** Why the field did not take what was entered last. */
  refused?: string | undefined;
  children: (input: { id: string; "aria-invalid"?: true; "aria-describedby"?: string }) => ComponentChildren;
}

function Field({ label, field, help, refused, children }: FieldProps) {
  const id = useId();
  const { wrong, id: wrongId } = useWrong(field, refused);
  const described = [help ? `${id}-help` : "", wrong ? wrongId : ""].filter(Boolean).join(" ");
  return (
    <div class="field">
      <label for={id}>{label}</label>
      {children({
        id,
        ...(wrong ? { "aria-invalid": true as const } : {}),
        ...(described ? { "aria-describedby": described } : {}),
      })}
      {help ? (
        <span class="help" id={`${id}-help`}>
          {help}
        </span>
      ) : null}
      {wrong}
    </div>
  );
}

/** What is wrong with a field, if the failure of the form is about it. Registers the field with the form. */
function useWrong(field: string | undefined, refused?: string): { wrong: ComponentChildren; id: string } {
  const text = useText();
  const { failure, fields, refusing } = useContext(FormScope);
  const id = useId();
  useEffect(() => {
    if (!field) return undefined;
    fields.add(field);
    return () => void fields.delete(field);
  }, [fields, field]);
  useEffect(() => {
    if (!refused) return undefined;
    refusing.add(id);
    return () => void refusing.delete(id);
  }, [refusing, refused, id]);
  const isHere = field && failure && fieldOf(failure, fields) === field;
  if (!isHere && !refused) return { wrong: null, id };
  const own = Boolean(refused) || failure?.code === LOCAL;
  return {
    wrong: (
      <span class="wrong" id={id} role="alert" lang={own ? undefined : "en"}>
        <Marked>{refused || (isHere ? atField(failure, field, text.common.line) : "")}</Marked>
      </span>
    ),
    id,
  };
}

/**
 * The words of a failure at its field. The site begins them with the name of the parameter; of a list, the field has an
 * item on each line.
 */
export function atField(failure: Refusal, field: string, line: (number: number) => string): string {
  const { message, field: path = "" } = failure;
  const [, item, member] = /^(?:\[(\d+)\])?\.?(.*)$/.exec(path.slice(field.length)) ?? [];
  const row = item === undefined ? "" : line(Number(item) + 1);
  const place = [row, member ?? ""].filter(Boolean).join(", ");
  /** What a sentence about the parameter begins with. */
  const subject = [row, member ? `“${member}”` : ""].filter(Boolean).join(", ") || "it";
  // The place in a configuration file, which is the field itself.
  const words = (message.startsWith(`${path}: `) ? message.slice(`${path}: `.length) : message).replace(
    /\s*\nin `?[\w.]+`?\s*$/,
    "",
  );
  const hint = hintOf(failure);
  const whole = sentence(
    PREDICATE.test(words) ? `${subject} ${words}` : place ? `${place}: ${words}` : words,
  );
  return hint ? `${whole} ${hint}` : whole;
}

/** What the site says of a parameter, which it names before. */
const PREDICATE = /^(begins|can|cannot|contains|does|ends|has|is|must|names|needs|was)\b/;

interface InputProps {
  label: string;
  field?: string;
  help?: ComponentChildren;
  value: string;
  set: (value: string) => void;
  /** What a browser may fill in and store; nothing by default. */
  autocomplete?: string;
  type?: "text" | "password" | "email" | "tel" | "number" | "search" | "time" | "datetime-local";
  mono?: boolean;
  lines?: number;
  placeholder?: string;
  refused?: string | undefined;
  /** What can be typed; the browser offers those that have what was typed. */
  suggestions?: readonly string[];
}

/** One line of text, or several with `lines`. */
export function Input({
  label,
  field,
  help,
  value,
  set,
  type = "text",
  autocomplete = "off",
  mono = false,
  lines,
  placeholder,
  refused,
  suggestions,
}: InputProps) {
  const look = mono ? "input mono" : "input";
  const list = useId();
  if (type === "password")
    return (
      <Field label={label} {...(field === undefined ? {} : { field })} help={help} refused={refused}>
        {(input) => <Secret {...{ input, autocomplete, value, set }} />}
      </Field>
    );
  return (
    <Field label={label} {...(field === undefined ? {} : { field })} help={help} refused={refused}>
      {(input) =>
        lines === undefined ? (
          <>
            <input
              {...input}
              class={look}
              // The wheel and the arrow keys of a number field change what was typed.
              type={(type === "number" ? "text" : type) as "text"}
              inputMode={type === "number" ? "numeric" : undefined}
              autocomplete={autocomplete}
              spellcheck={false}
              autocapitalize="none"
              placeholder={placeholder}
              list={suggestions ? list : undefined}
              value={value}
              onInput={(event) => set(event.currentTarget.value)}
            />
            {suggestions ? (
              <datalist id={list}>
                {suggestions.map((one) => (
                  <option key={one} value={one} />
                ))}
              </datalist>
            ) : null}
          </>
        ) : (
          <textarea
            {...input}
            class={look}
            rows={lines}
            autocomplete={autocomplete}
            spellcheck={false}
            placeholder={placeholder}
            value={value}
            onInput={(event) => set(event.currentTarget.value)}
          />
        )
      }
    </Field>
  );
}

interface SecretProps extends Pick<InputProps, "value" | "set"> {
  input: Parameters<FieldProps["children"]>[0];
  autocomplete: string;
}

/**
 * A pass phrase, which the user can look at: of several words, one is easily mistyped. The first one of a form has the
 * button for all.
 */
function Secret({ input, autocomplete, value, set }: SecretProps) {
  const text = useText();
  const { isSeen, see, shower } = useContext(FormScope);
  const [shows, setShows] = useState(false);
  const { id } = input;
  useLayoutEffect(() => {
    shower.id ??= id;
    setShows(shower.id === id);
    return () => {
      if (shower.id === id) shower.id = undefined;
    };
  }, [shower, id]);
  return (
    <div class="secret">
      <input
        {...input}
        class="input"
        type={(isSeen ? "text" : "password") as "text"}
        autocomplete={autocomplete}
        spellcheck={false}
        autocapitalize="none"
        value={value}
        onInput={(event) => set(event.currentTarget.value)}
      />
      {shows ? (
        <Button look="quiet" onClick={() => see(!isSeen)}>
          {isSeen ? text.passPhrase.hide : text.passPhrase.see}
        </Button>
      ) : null}
    </div>
  );
}

/** Tells a password manager whose pass phrase the form is about. */
export function AccountName({ name }: { name: string }) {
  return (
    <input
      class="unseen"
      type="text"
      autocomplete="username"
      value={name}
      readOnly
      tabIndex={-1}
      aria-hidden
    />
  );
}

interface SelectProps<T extends string> {
  label: string;
  field?: string;
  help?: ComponentChildren;
  value: T;
  set: (value: T) => void;
  options: readonly (readonly [T, string])[];
}

export function Select<T extends string>({ label, field, help, value, set, options }: SelectProps<T>) {
  return (
    <Field label={label} {...(field === undefined ? {} : { field })} help={help}>
      {(input) => (
        <select
          {...input}
          class="input"
          value={value}
          onChange={(event) => set(event.currentTarget.value as T)}
        >
          {options.map(([option, words]) => (
            <option key={option} value={option} selected={option === value}>
              {words}
            </option>
          ))}
        </select>
      )}
    </Field>
  );
}

export function Check({
  label,
  help,
  value,
  set,
}: {
  label: string;
  help?: string;
  value: boolean;
  set: (value: boolean) => void;
}) {
  const id = useId();
  return (
    <div class="check">
      <input
        id={id}
        type="checkbox"
        checked={value}
        onChange={(event) => set(event.currentTarget.checked)}
        aria-describedby={help ? `${id}-help` : undefined}
      />
      <div>
        <label for={id}>{label}</label>
        {help ? (
          <div class="small soft" id={`${id}-help`}>
            <Marked>{help}</Marked>
          </div>
        ) : null}
      </div>
    </div>
  );
}

/** Fields that belong together, as one parameter of the operation. What is wrong with it is shown below them. */
export function Group({
  label,
  field,
  children,
}: {
  label: ComponentChildren;
  field: string;
  children: ComponentChildren;
}) {
  const { wrong, id } = useWrong(field);
  return (
    <fieldset class="choices" {...(wrong ? { "aria-describedby": id } : {})} tabIndex={-1}>
      <legend>{label}</legend>
      {children}
      {wrong}
    </fieldset>
  );
}

/** One of a few choices, each with an explanation. */
export function Choices<T extends string>({
  label,
  value,
  set,
  options,
}: {
  label: string;
  value: T;
  set: (value: T) => void;
  options: readonly (readonly [T, string, string])[];
}) {
  const id = useId();
  return (
    <fieldset class="choices">
      <legend>{label}</legend>
      {options.map(([option, words, help]) => (
        <div class="check" key={option}>
          <input
            type="radio"
            id={`${id}-${option}`}
            name={id}
            checked={option === value}
            onChange={() => set(option)}
            aria-describedby={`${id}-${option}-help`}
          />
          <div>
            <label for={`${id}-${option}`}>{words}</label>
            <div class="small soft" id={`${id}-${option}-help`}>
              {help}
            </div>
          </div>
        </div>
      ))}
    </fieldset>
  );
}
