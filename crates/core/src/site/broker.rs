//! What the broker asks of the site.

use super::Site;
use crate::application::{Application, ApplicationId};
use crate::store::StoreError;

impl Site {
    /// The application of that id; whether it is active is for [`Application::may_call`] to say.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn application(&self, id: &ApplicationId) -> Result<Option<Application>, StoreError> {
        self.store().application(id).await
    }
}
