//! Reading applications.

use async_trait::async_trait;

use super::StoreError;
use crate::applications::{Application, ApplicationId};
use crate::page::Page;

/// Reads applications.
#[async_trait]
pub trait Applications: Send + Sync {
    /// Returns the application with this id.
    async fn application(&self, id: &ApplicationId) -> Result<Option<Application>, StoreError>;

    /// Returns a page of the applications, sorted by id. A damaged application is an entry of the
    /// list and does not prevent reading the others.
    async fn applications(
        &self,
        page: &Page<String>,
    ) -> Result<Vec<Result<Application, DamagedApplication>>, StoreError>;

    /// Returns the application with this id if it exists and cannot be read.
    async fn damaged_application(
        &self,
        id: &ApplicationId,
    ) -> Result<Option<DamagedApplication>, StoreError>;
}

/// An application whose stored form cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DamagedApplication {
    /// The application's id.
    pub id: String,
    /// What is wrong with the stored form.
    pub problem: String,
}

/// An entry of the list of applications.
pub trait ListedApplication {
    /// Returns the application's id.
    fn id(&self) -> &str;
}

impl ListedApplication for Result<Application, DamagedApplication> {
    fn id(&self) -> &str {
        match self {
            Ok(application) => application.id.as_str(),
            Err(damaged) => &damaged.id,
        }
    }
}
