import { useRef, useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useDoing, useQuery } from "../../app/queries";
import { Act, Button } from "../../parts/button";
import { Confirm } from "../../parts/confirm";
import { Check, Choices } from "../../parts/form";
import { Card, Page } from "../../parts/page";
import { Failed, Shown } from "../../parts/states";
import { None, Tag } from "../../parts/tag";
import type { Params, Result } from "../../site/contract";
import { useText, wordOf } from "../../text/catalogue";

type Shows = Result<"option.list">;
type Option = Shows["options"][number];
type Name = Params<"option.enable">["name"];
type Floor = Params<"option.floor">["floor"];

/** From the strongest to the weakest. */
const LEVELS = ["hybrid", "classical", "delivered"] as const;
const isWeaker = (strength: string, floor: string): boolean =>
  (LEVELS as readonly string[]).indexOf(strength) > (LEVELS as readonly string[]).indexOf(floor);

/** Encryption options: the admin ranks them, enables and disables them, and sets the floor. */
export function Options() {
  const text = useText();
  const reading = useQuery("option.list", {});
  return (
    <Page title={text.screens.options} about={text.options.about}>
      <Shown reading={reading}>
        {({ options, floor }) => {
          const offered = options
            .filter(({ rank }) => typeof rank === "number")
            .sort((a, b) => (a.rank ?? 0) - (b.rank ?? 0));
          return (
            <>
              <Ranks offered={offered} reload={reading.reload} />
              <Others
                options={options.filter(({ rank }) => typeof rank !== "number")}
                floor={floor}
                reload={reading.reload}
              />
              <FloorCard floor={floor as Floor} reload={reading.reload} />
            </>
          );
        }}
      </Shown>
    </Page>
  );
}

/** The options on offer. Buttons move one for the keyboard, a grip for the pointer. */
function Ranks({ offered, reload }: { offered: readonly Option[]; reload: () => void }) {
  const text = useText();
  const { site, may, say } = useConsole();
  const [dragged, drag] = useState<number>();
  const [over, setOver] = useState<number>();
  const doing = useDoing();
  const list = useRef<HTMLOListElement>(null);
  const names = offered.map(({ name }) => name);

  const move = (from: number, to: number): void => {
    const name = names[from];
    if (name === undefined || to < 0 || to >= names.length || from === to) return;
    const order = names.filter((_, at) => at !== from);
    order.splice(to, 0, name);
    void doing
      .run(() => site.call("option.order", { names: order as Name[] }))
      .then((ok) => {
        if (!ok) return;
        say(text.options.moved(name, to + 1));
        reload();
        requestAnimationFrame(() =>
          list.current?.querySelector<HTMLElement>(`[data-name="${name}"] .grip`)?.focus(),
        );
      });
  };

  return (
    <Card title={text.options.offered} about={text.options.offeredAbout}>
      <ol class="ranks" ref={list}>
        {offered.map((option, at) => (
          <li
            key={option.name}
            data-name={option.name}
            data-over={over === at && dragged !== at}
            onDragOver={(event) => {
              if (dragged === undefined) return;
              event.preventDefault();
              setOver(at);
            }}
            onDrop={(event) => {
              event.preventDefault();
              if (dragged !== undefined) move(dragged, at);
              drag(undefined);
              setOver(undefined);
            }}
          >
            <button
              type="button"
              class="button quiet grip"
              draggable
              aria-label={text.options.grip(option.name, at + 1, offered.length)}
              onDragStart={(event) => {
                event.dataTransfer?.setData("text/plain", option.name);
                drag(at);
              }}
              onDragEnd={() => {
                drag(undefined);
                setOver(undefined);
              }}
              onKeyDown={(event) => {
                const step = event.key === "ArrowUp" ? -1 : event.key === "ArrowDown" ? 1 : 0;
                if (step === 0) return;
                event.preventDefault();
                move(at, at + step);
              }}
            >
              ⠿
            </button>
            <span class="rank">{at + 1}</span>
            <span class="option">
              <code class="break">{option.name}</code>
              <Strength of={option.strength} />
            </span>
            <span class="buttons">
              <Button
                look="quiet"
                name={`${text.options.up} ${option.name}`}
                off={at === 0}
                onClick={() => move(at, at - 1)}
              >
                {text.options.up}
              </Button>
              <Button
                look="quiet"
                name={`${text.options.down} ${option.name}`}
                off={at === offered.length - 1}
                onClick={() => move(at, at + 1)}
              >
                {text.options.down}
              </Button>
              {may("option.disable") ? <Disable option={option} reload={reload} /> : null}
            </span>
          </li>
        ))}
      </ol>
      {doing.failure ? (
        <div class="more">
          <Failed failure={doing.failure} />
        </div>
      ) : null}
    </Card>
  );
}

function Strength({ of }: { of: string }) {
  const text = useText();
  const words = wordOf(text.options.strengths, of);
  return <Tag mood={of === "hybrid" ? "good" : of === "classical" ? "plain" : "warn"}>{words}</Tag>;
}

function Disable({ option, reload }: { option: Option; reload: () => void }) {
  const text = useText();
  const { site } = useConsole();
  const [cut, setCut] = useState(false);
  return (
    <Confirm
      look="quiet danger"
      typed={false}
      target={option.name}
      title={text.options.disableTitle(option.name)}
      explanation={text.options.disableAbout}
      fields={<Check label={text.options.cut} help={text.options.cutHelp} value={cut} set={setCut} />}
      act={() => site.call("option.disable", { name: option.name as Name, cut })}
      said={text.options.disabled(option.name)}
      done={reload}
    >
      {text.options.disable}
    </Confirm>
  );
}

function Others({
  options,
  floor,
  reload,
}: {
  options: readonly Option[];
  floor: string;
  reload: () => void;
}) {
  const text = useText();
  const { site, may, asks } = useConsole();
  if (options.length === 0) return null;
  return (
    <Card title={text.options.others} about={text.options.othersAbout}>
      <ul class="ranks unranked">
        {options.map((option) => {
          const params = { name: option.name as Name };
          const enable = (): Promise<unknown> => site.call("option.enable", params);
          const said = text.options.enabled(option.name);
          return (
            <li key={option.name}>
              <span />
              <None />
              <span class="option">
                <code class="break">{option.name}</code>
                <Strength of={option.strength} />
                {option.enabled ? <span class="soft small">{text.options.belowFloor}</span> : null}
              </span>
              <span class="buttons">
                {option.enabled || !may("option.enable") ? null : isWeaker(option.strength, floor) ? (
                  <span class="soft small">{text.options.tooWeak}</span>
                ) : !asks("option.enable", params) ? (
                  <Act
                    look="quiet"
                    name={`${text.options.enable} ${option.name}`}
                    act={enable}
                    said={said}
                    done={reload}
                  >
                    {text.options.enable}
                  </Act>
                ) : (
                  <Confirm
                    look="quiet"
                    typed={false}
                    target={option.name}
                    title={text.options.enableTitle(option.name)}
                    explanation={text.options.enableAbout}
                    act={enable}
                    said={said}
                    done={reload}
                  >
                    {text.options.enable}
                  </Confirm>
                )}
              </span>
            </li>
          );
        })}
      </ul>
    </Card>
  );
}

function FloorCard({ floor, reload }: { floor: Floor; reload: () => void }) {
  const text = useText();
  const { site, may } = useConsole();
  const [chosen, choose] = useState<Floor>(floor);
  const [cut, setCut] = useState(false);
  if (!may("option.floor")) return null;
  return (
    <Card title={text.options.floor} about={text.options.floorAbout}>
      <div class="body">
        <Choices
          label={text.options.weakest}
          value={chosen}
          set={choose}
          options={LEVELS.map(
            (level) => [level, text.options.strengths[level], text.options.strengthHelp[level]] as const,
          )}
        />
        <div class="buttons">
          {chosen === floor ? (
            <span class="soft small">{text.options.floorNow}</span>
          ) : (
            <Confirm
              typed={false}
              look=""
              target={chosen}
              title={text.options.floorTitle(text.options.strengths[chosen])}
              explanation={isWeaker(floor, chosen) ? text.options.raiseAbout : text.options.lowerAbout}
              fields={<Check label={text.options.cut} help={text.options.cutHelp} value={cut} set={setCut} />}
              act={() => site.call("option.floor", { floor: chosen, cut })}
              said={text.options.floorSet(text.options.strengths[chosen])}
              done={reload}
            >
              {text.options.setFloor}
            </Confirm>
          )}
        </div>
      </div>
    </Card>
  );
}
