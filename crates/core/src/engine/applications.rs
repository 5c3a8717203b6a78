//! Reads all applications of the site, page by page.

use super::Site;
use crate::applications::Application;
use crate::page::Page;
use crate::store::{ListedApplication, StoreError};

/// How many applications are read per query.
const PAGE_SIZE: u32 = 500;

impl Site {
    /// Passes each application that can be read to `visit`. A damaged one has no relations.
    ///
    /// # Errors
    /// [`StoreError`] if the store failed.
    pub(crate) async fn each_application(
        &self,
        mut visit: impl FnMut(Application) + Send,
    ) -> Result<(), StoreError> {
        let mut after = None;
        loop {
            let page = Page {
                after,
                limit: PAGE_SIZE,
            };
            let listed = self.store().applications(&page).await?;
            let Some(last) = listed.last() else {
                return Ok(());
            };
            let end = Some(last.id().to_owned());
            if end == page.after {
                // A damaged id may not sort where it is stored; only damaged applications remain.
                return Ok(());
            }
            after = end;
            listed
                .into_iter()
                .filter_map(Result::ok)
                .for_each(&mut visit);
        }
    }
}
