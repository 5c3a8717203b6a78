import { useState } from "preact/hooks";
import { useConsole } from "../../app/context";
import { useQuery } from "../../app/queries";
import { Button } from "../../parts/button";
import { FormDialog } from "../../parts/form-dialog";
import { Check, Input, Select } from "../../parts/form";
import { Card, Facts } from "../../parts/page";
import { useProof } from "../../parts/proof-field";
import { Shown } from "../../parts/states";
import { mistake, type Params, type Result } from "../../site/contract";
import { useText } from "../../text/catalogue";

type Shows = Result<"alarm.preferences_show">;

/** How one's own alarms arrive. */
export function Preferences() {
  const text = useText();
  const reading = useQuery("alarm.preferences_show", {});
  const [editing, edit] = useState(false);
  return (
    <Card
      title={text.preferences.title}
      about={text.preferences.about}
      actions={
        reading.data ? (
          <Button
            look="quiet"
            name={`${text.common.edit} ${text.preferences.title}`}
            onClick={() => edit(true)}
          >
            {text.common.edit}
          </Button>
        ) : null
      }
    >
      <Shown reading={reading}>
        {(now) => (
          <div class="body">
            <Facts
              facts={[
                [
                  text.preferences.channels,
                  now.channels.length
                    ? now.channels.map((channel) => text.alarms.channels[channel]).join(", ")
                    : text.preferences.noChannels,
                ],
                [text.preferences.textTo, now.text_to],
                [
                  text.preferences.quiet,
                  now.quiet_from ? `${now.quiet_from} – ${now.quiet_to ?? ""}` : text.preferences.noQuiet,
                ],
                [text.preferences.zone, now.time_zone],
                [text.preferences.language, now.language === "de" ? "Deutsch" : "English"],
              ]}
            />
            {editing ? <Edit now={now} close={() => edit(false)} done={reading.reload} /> : null}
          </div>
        )}
      </Shown>
    </Card>
  );
}

function Edit({ now, close, done }: { now: Shows; close: () => void; done: () => void }) {
  const text = useText();
  const { site } = useConsole();
  const [email, setEmail] = useState(now.channels.includes("email"));
  const [short, setShort] = useState(now.channels.includes("text"));
  const [textTo, setTextTo] = useState(now.text_to ?? "");
  const [from, setFrom] = useState(now.quiet_from ?? "");
  const [until, setUntil] = useState(now.quiet_to ?? "");
  const [zone, setZone] = useState(now.time_zone);
  const [language, setLanguage] = useState(now.language);
  const proof = useProof();
  const wanted = [
    ...now.channels.filter((channel) => (channel === "email" ? email : short)),
    ...(["email", "text"] as const).filter(
      (channel) => !now.channels.includes(channel) && (channel === "email" ? email : short),
    ),
  ];
  const channels = wanted.join() !== now.channels.join();
  const proves = channels || textTo !== (now.text_to ?? "");
  return (
    <FormDialog
      title={text.preferences.title}
      close={close}
      send={async () => {
        // Only what was changed here: it may have been changed elsewhere meanwhile.
        const params: Params<"alarm.preferences"> = {};
        if (language !== now.language) params.language = language;
        if (zone.trim() !== now.time_zone) params.time_zone = zone.trim();
        if (channels) params.channels = wanted;
        if (textTo !== (now.text_to ?? "")) params.text_to = textTo.trim();
        if (from !== (now.quiet_from ?? "") || until !== (now.quiet_to ?? "")) {
          if (!from && until) throw mistake(text.preferences.quietHalf, "quiet_from");
          if (from && !until) throw mistake(text.preferences.quietHalf, "quiet_to");
          // Two equal times are no quiet hours.
          params.quiet_from = from || "00:00";
          params.quiet_to = until || "00:00";
        }
        if (proves) await proof.prove();
        await site.call("alarm.preferences", params);
      }}
      done={done}
    >
      <fieldset class="choices">
        <legend>{text.preferences.channels}</legend>
        <Check label={text.alarms.channels.email} value={email} set={setEmail} />
        <Check label={text.alarms.channels.text} value={short} set={setShort} />
      </fieldset>
      <Input
        label={text.preferences.textTo}
        field="text_to"
        help={text.preferences.textToHelp}
        value={textTo}
        set={setTextTo}
      />
      <div class="two">
        <Input label={text.preferences.quietFrom} field="quiet_from" type="time" value={from} set={setFrom} />
        <Input label={text.preferences.quietTo} field="quiet_to" type="time" value={until} set={setUntil} />
      </div>
      <Input label={text.preferences.zone} field="time_zone" value={zone} set={setZone} />
      <Select
        label={text.preferences.language}
        field="language"
        value={language}
        set={setLanguage}
        options={[
          ["en", "English"],
          ["de", "Deutsch"],
        ]}
      />
      {proves ? proof.field : null}
    </FormDialog>
  );
}
