//! Permissions across sites: applications of peers that an application may call, and that may call it.

use countersign_proto::broker::v2::foreign::ForeignName;
use countersign_proto::site_identity::SiteId;

use super::settings::few;
use crate::applications::{Application, Edition, ForeignGrant};
use crate::engine::{Context, Refusal};

/// Returns the peer of an application that `own` may call, or that may call it.
pub(super) async fn peer_of(
    context: &Context,
    own: &Application,
    other: &ForeignName,
    field: &str,
) -> Result<SiteId, Refusal> {
    let zone = context.site().zone();
    if own.edition != Edition::V2 {
        let problem = format!(
            "names {other}, and {} has not the edition v2, which calls across sites need",
            own.id
        );
        return Err(Refusal::invalid(field, problem));
    }
    if *other.zone() == zone {
        let problem = format!("names {other} with the zone of this site; leave `@{zone}` out");
        return Err(Refusal::invalid(field, problem));
    }
    if ForeignName::new(own.id.as_str(), &zone).is_err() {
        let problem = format!(
            "cannot name {other}: {}@{zone}, as the peer knows this application, is longer than 128 bytes",
            own.id
        );
        return Err(Refusal::invalid(field, problem));
    }
    let peer = context.site().store().peer_of_zone(other.zone()).await?;
    let peer = peer.ok_or_else(|| {
        let problem = format!("names {other}, and no peer has that zone; see `peer list`");
        Refusal::invalid(field, problem)
    })?;
    Ok(peer.site())
}

/// Adds applications of peers to those that may call an application. If another peer had the zone
/// when a permission was given, it is renewed for the present one.
pub(super) async fn allow_callers(
    context: &Context,
    application: &mut Application,
    callers: Vec<ForeignName>,
) -> Result<(), Refusal> {
    const FIELD: &str = "allow_callers";
    for name in callers {
        let site = peer_of(context, application, &name, FIELD).await?;
        application.callers.retain(|grant| grant.name != name);
        application.callers.push(ForeignGrant { site, name });
    }
    few(FIELD, application.callers.len())
}

/// Removes applications of peers from those that may call an application.
pub(super) fn disallow_callers(
    application: &mut Application,
    callers: &[ForeignName],
) -> Result<(), Refusal> {
    for name in callers {
        let before = application.callers.len();
        application.callers.retain(|grant| grant.name != *name);
        if application.callers.len() == before {
            let problem = format!(
                "{name} is not allowed to call {}, so this cannot be withdrawn",
                application.id
            );
            return Err(Refusal::invalid("disallow_callers", problem));
        }
    }
    Ok(())
}
