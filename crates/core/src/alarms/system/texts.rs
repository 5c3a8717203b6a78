//! The texts of the site's alarms: what happened and what to do.

use super::{PeerAlarm, RevokedOf, SystemAlarm};
use crate::alarms::unquoted as chosen;
use crate::audit::coalesced::OTHERS;

impl SystemAlarm {
    pub(super) fn english(&self) -> String {
        match self {
            Self::SecondKey { person, source, .. } => format!(
                "A second key came with a ticket of {person}, from {source}. If you did not try twice, another \
                 person has the ticket: revoke unknown devices and set a new pass phrase."
            ),
            Self::RevokedDevice { source, owner, .. } => format!(
                "{} tried to connect from {source}. It was refused. Find out who has it, and change what it may \
                 know.",
                match owner {
                    Some(RevokedOf { person, name, .. }) =>
                        format!("The revoked device “{}” of {person}", chosen(name)),
                    None => "A revoked device".to_owned(),
                }
            ),
            Self::TwoPlaces {
                name,
                person,
                networks: [one, other],
                ..
            } => format!(
                "The key of the device “{}” of {person} is in use from {one} and {other} at once. If these are \
                 not both the person's, the key was copied: revoke the device and enrol it again.",
                chosen(name)
            ),
            Self::ContactChanged { person, .. } => format!(
                "{person} changed where alarms go: an address or the channels. If this was not you, another \
                 person has your pass phrase or your session: set a new pass phrase."
            ),
            Self::Refusals {
                operation,
                actor,
                count,
            } => format!(
                "{} refused {count} times within a minute{}. Look at the audit log; block the address or lock the \
                 account if this is an attack.",
                match actor.as_str() {
                    OTHERS => "Several accounts or addresses were".to_owned(),
                    one => format!("{one} was"),
                },
                match operation.as_str() {
                    OTHERS => ", at several operations".to_owned(),
                    one => format!(" at {one}"),
                },
            ),
            Self::DiskLow { free, total } => format!(
                "The disk of the site has {} of {} left. Free some space: without it the site refuses logins.",
                size(*free),
                size(*total)
            ),
            Self::BackupOverdue { last: None } => {
                "There is no backup of the site. Make one with `site backup FILE`.".to_owned()
            }
            Self::BackupOverdue { last: Some(last) } => format!(
                "The newest backup of the site is of {last}. Make one with `site backup FILE`."
            ),
            Self::NewSiteKey {
                event,
                compromised_since: None,
            } => format!(
                "The site has a new key, by key event {event}. If no admin made it, seal the site and look at the \
                 audit log."
            ),
            Self::NewSiteKey {
                event,
                compromised_since: Some(since),
            } => format!(
                "The site has a new key, by key event {event}, because the previous one was stolen. What that \
                 signed after {since} is void. Check what the thief did: the audit log, accounts and keys."
            ),
            Self::Lockdown {
                target,
                level: Some(level),
                by,
            } => format!(
                "{by} put the {target} in lockdown at the level {level}. See why with \
                 `lockdown status`. Only the machine of the site can lift it."
            ),
            Self::Lockdown { target, by, .. } => {
                format!("{by} put the {target} in lockdown. See why with `lockdown status`.")
            }
            Self::Peer { site, id, problem } => match problem {
                PeerAlarm::ZoneTaken => format!(
                    "The site {site} of {id} wanted to become a peer with a zone that belongs to another site. It \
                     was refused. Ask the operators which site has the zone."
                ),
                PeerAlarm::Fork => format!(
                    "The key events of the peer {site} of {id} contradict those that are known. It was refused: a \
                     thief may have its key. Tell its operator, and see `peer show {site}`."
                ),
                PeerAlarm::Garbage => format!(
                    "The peer {site} of {id} broke the protocol again and again and was suspended. Ask its \
                     operator, and allow it again with `peer resume {site}`."
                ),
                PeerAlarm::Log => format!(
                    "The audit log of the peer {site} of {id} contradicts what that site signed before: the log was \
                     shortened or rewritten, or the site was restored from a backup. Tell its operator."
                ),
                PeerAlarm::OwnLog => format!(
                    "The peer {site} of {id} countersigned an entry of this site's audit log that the log does not \
                     contain: it was shortened or rewritten, or the site was restored from a backup. Run \
                     `audit verify --peers`."
                ),
                PeerAlarm::VoidHeads => format!(
                    "The peer {site} of {id} has a new key, and entries of its audit log that this site \
                     countersigned count no more: its old key was stolen, or its operator takes back what the log \
                     said. Ask the operator, and see `audit list --operation peer.key_followed`."
                ),
            },
            Self::PeerMessage { person, from, .. } => format!(
                "{from} sent a message to {person}. Read it, and those that arrived since, with `peer inbox PERSON`."
            ),
            Self::KeysRetire {
                applications,
                retires,
                more,
            } => format!(
                "The previous keys of these applications are accepted for a short time only, the first until \
                 {retires}: {}{}. Check that each signs with its new key by then.",
                applications.join(", "),
                match more {
                    0 => String::new(),
                    more => format!(" (and {more} more)"),
                }
            ),
        }
    }

    pub(super) fn german(&self) -> String {
        match self {
            Self::SecondKey { person, source, .. } => format!(
                "Mit einem Ticket von {person} kam von {source} ein zweiter Schlüssel. Wenn Sie es nicht zweimal \
                 versucht haben, hat eine andere Person das Ticket: Widerrufen Sie unbekannte Geräte und setzen \
                 Sie eine neue Passphrase."
            ),
            Self::RevokedDevice { source, owner, .. } => format!(
                "{} wollte sich von {source} verbinden und wurde abgewiesen. Klären Sie, wer es hat, und ändern \
                 Sie, was es wissen kann.",
                match owner {
                    Some(RevokedOf { person, name, .. }) =>
                        format!("Das widerrufene Gerät „{}“ von {person}", chosen(name)),
                    None => "Ein widerrufenes Gerät".to_owned(),
                }
            ),
            Self::TwoPlaces {
                name,
                person,
                networks: [one, other],
                ..
            } => format!(
                "Der Schlüssel des Geräts „{}“ von {person} wird von {one} und {other} zugleich benutzt. Wenn \
                 nicht beide der Person gehören, wurde er kopiert: Widerrufen Sie das Gerät und melden Sie es neu \
                 an.",
                chosen(name)
            ),
            Self::ContactChanged { person, .. } => format!(
                "{person} hat geändert, wohin Alarme gehen: eine Adresse oder die Kanäle. Wenn Sie das nicht \
                 waren, hat eine andere Person Ihre Passphrase oder Ihre Sitzung: Setzen Sie eine neue Passphrase."
            ),
            Self::Refusals {
                operation,
                actor,
                count,
            } => format!(
                "{} {} {count}-mal in einer Minute abgewiesen. Sehen Sie im Audit-Log nach; sperren Sie die \
                 Adresse oder das Konto, wenn es ein Angriff ist.",
                match actor.as_str() {
                    OTHERS => "Mehrere Konten oder Adressen wurden".to_owned(),
                    one => format!("{one} wurde"),
                },
                match operation.as_str() {
                    OTHERS => "bei mehreren Operationen".to_owned(),
                    one => format!("bei {one}"),
                },
            ),
            Self::DiskLow { free, total } => format!(
                "Der Datenträger der Site hat noch {} von {} frei. Schaffen Sie Platz: Ohne Platz weist die Site \
                 Anmeldungen ab.",
                size(*free),
                size(*total)
            ),
            Self::BackupOverdue { last: None } => {
                "Es gibt keine Sicherung der Site. Erstellen Sie eine mit `site backup FILE`."
                    .to_owned()
            }
            Self::BackupOverdue { last: Some(last) } => format!(
                "Die neueste Sicherung der Site ist vom {last}. Erstellen Sie eine mit \
                 `site backup FILE`."
            ),
            Self::NewSiteKey {
                event,
                compromised_since: None,
            } => format!(
                "Die Site hat mit dem Schlüsselereignis {event} einen neuen Schlüssel. Wenn ihn keine \
                 Administratorin erzeugt hat, versiegeln Sie die Site und sehen Sie im Audit-Log nach."
            ),
            Self::NewSiteKey {
                event,
                compromised_since: Some(since),
            } => format!(
                "Die Site hat mit dem Schlüsselereignis {event} einen neuen Schlüssel, weil der alte gestohlen \
                 wurde. Was dieser nach {since} signiert hat, ist ungültig. Prüfen Sie Audit-Log, Konten und \
                 Schlüssel."
            ),
            Self::Lockdown {
                target,
                level: Some(level),
                by,
            } => format!(
                "{by} hat einen Lockdown verhängt: {target}, Stufe {level}. Den Grund zeigt \
                 `lockdown status`. Nur auf der Maschine der Site wird er aufgehoben."
            ),
            Self::Lockdown { target, by, .. } => format!(
                "{by} hat einen Lockdown verhängt: {target}. Den Grund zeigt `lockdown status`."
            ),
            Self::Peer { site, id, problem } => match problem {
                PeerAlarm::ZoneTaken => format!(
                    "Die Site {site} von {id} wollte mit einer Zone, die einer anderen Site gehört, Peer werden. Sie \
                     wurde abgewiesen. Fragen Sie die Betreiber, welche Site die Zone hat."
                ),
                PeerAlarm::Fork => format!(
                    "Die Schlüsselereignisse des Peers {site} von {id} widersprechen den bekannten. Er wurde \
                     abgewiesen: Ein Dieb kann den Schlüssel haben. Sagen Sie es dem Betreiber; siehe \
                     `peer show {site}`."
                ),
                PeerAlarm::Garbage => format!(
                    "Der Peer {site} von {id} hat das Protokoll immer wieder verletzt und wurde ausgesetzt. Fragen \
                     Sie den Betreiber, und erlauben Sie ihn wieder mit `peer resume {site}`."
                ),
                PeerAlarm::Log => format!(
                    "Das Audit-Log des Peers {site} von {id} widerspricht dem, was diese Site vorher unterschrieben \
                     hat: Es wurde gekürzt oder umgeschrieben, oder die Site wurde aus einer Sicherung \
                     wiederhergestellt. Sagen Sie es dem Betreiber."
                ),
                PeerAlarm::OwnLog => format!(
                    "Der Peer {site} von {id} hat einen Eintrag des Audit-Logs dieser Site gegengezeichnet, den das \
                     Log nicht enthält: Es wurde gekürzt oder umgeschrieben, oder die Site wurde aus einer Sicherung \
                     wiederhergestellt. Führen Sie `audit verify --peers` aus."
                ),
                PeerAlarm::VoidHeads => format!(
                    "Der Peer {site} von {id} hat einen neuen Schlüssel, und Einträge seines Audit-Logs, die diese \
                     Site gegengezeichnet hat, gelten nicht mehr: Sein alter Schlüssel wurde gestohlen, oder der \
                     Betreiber nimmt zurück, was im Log stand. Fragen Sie den Betreiber; siehe \
                     `audit list --operation peer.key_followed`."
                ),
            },
            Self::PeerMessage { person, from, .. } => format!(
                "{from} hat {person} eine Nachricht geschickt. `peer inbox PERSON` zeigt sie und spätere."
            ),
            Self::KeysRetire {
                applications,
                retires,
                more,
            } => format!(
                "Die früheren Schlüssel dieser Anwendungen gelten nur noch kurz, der erste bis {retires}: {}{}. \
                 Prüfen Sie, dass jede bis dahin mit dem neuen signiert.",
                applications.join(", "),
                match more {
                    0 => String::new(),
                    more => format!(" (und {more} weitere)"),
                }
            ),
        }
    }
}

fn size(bytes: u64) -> String {
    match bytes >> 20 {
        mebibytes if mebibytes < 10 * 1024 => format!("{mebibytes} MiB"),
        mebibytes => format!("{} GiB", mebibytes >> 10),
    }
}
